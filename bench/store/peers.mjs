// The record of the benches as each peer wants it. Every peer is loaded only by the process that measures it.
import {BALANCE, HITS, ROW_BYTES, row} from './rows.mjs';

/** What flatc generates for a struct, moved from record to record. @param {ArrayBuffer} bytes */
export async function flatbuffersRows(bytes) {
  const {ByteBuffer} = await import('flatbuffers');
  class Cursor {
    bb = new ByteBuffer(new Uint8Array(bytes));
    bb_pos = 0;
    /** @param {number} position */
    at(position) {
      this.bb_pos = position;
      return this;
    }
    hits() {
      return this.bb.readUint32(this.bb_pos + HITS);
    }
    /** @param {number} value */
    mutateHits(value) {
      this.bb.writeUint32(this.bb_pos + HITS, value);
    }
    balance() {
      return this.bb.readFloat64(this.bb_pos + BALANCE);
    }
    /** @param {number} value */
    mutateBalance(value) {
      this.bb.writeFloat64(this.bb_pos + BALANCE, value);
    }
  }
  return new Cursor();
}

/** @param {number} records @returns {Promise<any>} */
export async function structuraeRows(records) {
  const {View} = await import('structurae');
  const view = new View(new DataView(new ArrayBuffer(2 ** 16)));
  const u32 = {type: 'integer', btype: 'uint32'};
  const f64 = {type: 'number', btype: 'float64'};
  const Rows = /** @type {any} */ (view).create({
    $id: 'Rows',
    type: 'array',
    maxItems: records,
    items: {
      $id: 'Row',
      type: 'object',
      properties: {
        hits: u32,
        misses: u32,
        balance: f64,
        bytes: f64, // it has no 53-bit integer
        seen: f64,
        score: f64,
        weight: f64,
        limit: f64,
        kind: u32,
        flags: u32,
      },
    },
  });
  const rows = new Rows(new ArrayBuffer(ROW_BYTES * records));
  for (let i = 0; i < records; i++) rows.set(i, row(i));
  return rows;
}

/** @param {ArrayBuffer} bytes @returns {Promise<any[]>} */
export async function typedStructRows(bytes) {
  const {Struct} = await import('typed-struct');
  const Row = new Struct('Row')
    .UInt32LE('hits')
    .UInt32LE('misses')
    .Float64LE('balance')
    .Buffer('rest', ROW_BYTES - 16)
    .compile();
  return Array.from(
    {length: bytes.byteLength / ROW_BYTES},
    (_, i) => new Row(Buffer.from(bytes, i * ROW_BYTES, ROW_BYTES)),
  );
}

/** @param {number} records @returns {Promise<any>} */
export async function objectbufferRows(records) {
  const {createObjectBuffer} = await import('@bnaya/objectbuffer');
  const encoding = {textEncoder: new TextEncoder(), textDecoder: new TextDecoder()};
  const all = createObjectBuffer(encoding, records * 2048 + 2 ** 16, {
    rows: Array.from({length: records}, (_, i) => row(i)),
  });
  return all.rows;
}
