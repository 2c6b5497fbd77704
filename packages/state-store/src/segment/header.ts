import {createHash, randomBytes} from 'node:crypto';
import {StoreError} from '../errors.js';
import {ENTRY_WORDS, LEAST_LOG_CELLS, logCapacity} from './log-ring.js';
import {CELL, type Memory} from './memory.js';
import {NOBODY} from './process-identity.js';

/*
 * The first page of every segment. All numbers are little-endian; include/zlr/store.h mirrors this and a test compares
 * both.
 *
 *    0  magic          8 bytes "ZLRSTORE"
 *    8  version        u32     format version
 *   12  state          u32     BUILDING (first store of all after owner), READY (last store of all) or MOVED
 *   16  size           u64     bytes of the segment
 *   24  owner          u64     the name of the one writer, see writers.ts; 0 when there is none
 *   32  fingerprint    16 bytes  of the schema
 *   48  birth          u64     drawn when it was made, rebuilt or loaded: the clock tells nothing
 *   56  zero
 *   64  name           u32 length, then 60 bytes
 *  128  log            u32 first cell, u32 cells          the undo log
 *  136  schema         u32 first cell, u32 bytes          the schema, described for readers without it
 *  144  root           u32 first cell, u32 cells          the root record
 *  152  heap           u32 first cell, u32 end cell       where the allocator works
 *  160  created        f64     milliseconds since 1970
 *  168  uid            u32     the user it was made by
 *  172  checksum       u32     of bytes 0..11, 16..23, 32..171 (what never changes in a life)
 *  176  base           u64     the address at which the fields of t.address hold true, or 0
 *  ---- a cache line of its own for what every transaction writes
 *  256  logHead        u32     see undo-log.ts
 *  260  logTail        u32
 *  264  lock           u64     with several writers: the one inside a transaction, see tenure.ts
 *  272  armed          u32     1: a watcher sleeps and wants to be rung at the next commit, see watch.ts
 *  276  live           u32     always 1: the generation of records that cannot be removed
 *  280  copying        u32     not 0: a reader copies, so what is used again is saved, see undo-log.ts
 *  284  unsaved        u32     counts what was used again without
 *  288  stopped        u32     1: a writer stopped with his machine, and nobody has looked through the store since
 *  ---- a cache line of its own for the allocator
 *  320  heapTop        u32     first cell never handed out
 *  324  epoch          u32     how often the store was opened for writing
 *  328  heapLimit      u32     end of the blocks; above it lie extents, taken from the end of the heap downwards
 *  336  quarantine     u32 payload cell, u32 entries      what was set aside, see ledger.ts; a cell that is logged shares
 *                              none with heapLimit, which is not
 *  344  joining        u32     not 0: free blocks from this cell on may be in no list, see join.ts
 *  352  schemaVersion  u32     the highest `version` it was opened with for writing, 0 when none; stored without the log, so
 *                              it shares its cell with nothing
 *  512  free           120 x u32   first free block of each size class, see heap.ts
 * 1024  writers        64 x u64    with several writers: their names, by their places
 *  ...  zero up to 4096
 */
export const HEADER_BYTES = 4096;
export const MAGIC: Buffer = Buffer.from('ZLRSTORE', 'latin1');
export const VERSION = 2;
export const NAME_BYTES = 60;

export const at = {
  magic: 0,
  version: 8,
  state: 12,
  size: 16,
  owner: 24,
  fingerprint: 32,
  birth: 48,
  name: 64,
  log: 128,
  schema: 136,
  root: 144,
  heap: 152,
  created: 160,
  uid: 168,
  checksum: 172,
  base: 176,
  logHead: 256,
  logTail: 260,
  lock: 264,
  armed: 272,
  live: 276,
  copying: 280,
  unsaved: 284,
  stopped: 288,
  heapTop: 320,
  epoch: 324,
  heapLimit: 328,
  quarantine: 336,
  joining: 344,
  schemaVersion: 352,
  free: 512,
  writers: 1024,
  writersCount: 64,
} as const;

// Far apart, so that no flipped bit turns a store into one that may be built anew.
export const BUILDING = 0x444c4942; // 'BILD'
export const READY = 0x59444552; // 'REDY'
export const MOVED = 0x45564f4d; // 'MOVE'

export interface Plan {
  name: string;
  size: number;
  fingerprint: Buffer;
  logCell: number;
  logCells: number;
  schemaCell: number;
  schemaBytes: number;
  rootCell: number;
  rootCells: number;
  heapCell: number;
  heapEnd: number;
}

let summed = {text: '', sum: 0};

/** An open looks at the header several times; what has not changed since is not hashed again. */
function checksum(bytes: Buffer): number {
  const part = (from: number, to: number) => bytes.toString('latin1', from, to);
  const text = part(0, at.state) + part(at.size, at.owner) + part(at.fingerprint, at.checksum);
  if (text !== summed.text) {
    // As text: a digest that is a Buffer has memory of its own, see openStore.
    const hash = createHash('sha256').update(text, 'latin1').digest('hex');
    summed = {text, sum: Buffer.from(hash.slice(0, 8), 'hex').readUInt32LE(0)};
  }
  return summed.sum;
}

/** The first store to a segment but for the owner word. From here to `publish` its builder may die and be succeeded. */
export function beginHeader(memory: Memory): void {
  memory.atomics.store(memory.u32, at.state / 4, BUILDING);
}

/** Writes all of the header but its state, which stays BUILDING until `publish`. */
export function writeHeader(memory: Memory, plan: Plan): void {
  const b = memory.buffer;
  memory.u64[at.magic / CELL] = MAGIC.readBigUInt64LE(); // one store: half of it would be somebody else's
  b.writeUInt32LE(VERSION, at.version);
  b.writeBigUInt64LE(BigInt(plan.size), at.size);
  b.set(plan.fingerprint, at.fingerprint);
  drawBirth(memory);
  b.fill(0, at.name, at.name + 4 + NAME_BYTES);
  b.writeUInt32LE(b.write(plan.name, at.name + 4, NAME_BYTES, 'utf8'), at.name);
  const pairs: [number, number, number][] = [
    [at.log, plan.logCell, plan.logCells],
    [at.schema, plan.schemaCell, plan.schemaBytes],
    [at.root, plan.rootCell, plan.rootCells],
    [at.heap, plan.heapCell, plan.heapEnd],
  ];
  for (const [offset, first, second] of pairs) {
    b.writeUInt32LE(first, offset);
    b.writeUInt32LE(second, offset + 4);
  }
  b.writeDoubleLE(Date.now(), at.created);
  b.writeUInt32LE(process.getuid!(), at.uid);
  b.writeUInt32LE(checksum(b), at.checksum);
  b.fill(0, at.checksum + 4, HEADER_BYTES);
  b.writeUInt32LE(1, at.live);
  b.writeUInt32LE(plan.heapCell, at.heapTop);
  b.writeUInt32LE(plan.heapEnd, at.heapLimit);
}

/** At random, not by the clock, which may stand still or go back. */
function drawBirth(memory: Memory): void {
  memory.buffer.set(randomBytes(8), at.birth);
}

/** Tells a store from all others that had its name before or will have it. */
export function birthOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(at.birth, true);
}

export function stateOf(memory: Memory): number {
  return memory.atomics.load(memory.u32, at.state / 4);
}

/** Tells those who still have this segment, also those who wait for its lock, that another took its place. */
export function markMoved(bytes: Uint8Array): void {
  if (bytes.length === 0) return; // nobody has it any more
  const {buffer, byteOffset} = bytes;
  Atomics.store(new Uint32Array(buffer, byteOffset, HEADER_BYTES / 4), at.state / 4, MOVED);
  Atomics.store(new BigUint64Array(buffer, byteOffset, HEADER_BYTES / CELL), at.lock / CELL, NOBODY);
}

/** True when the store has grown: into another segment, or beyond what is mapped of its file. */
export function hasMoved(memory: Memory): boolean {
  // Within one process the pages may be gone already, taken from under every view at once.
  if (memory.u32.length === 0) return true;
  if (memory.byteLength < HEADER_BYTES) return false; // it is none
  return stateOf(memory) === MOVED || sizeOf(memory) > memory.byteLength;
}

/** A segment says that the store is in another, or goes on behind its end, and it is not so. */
export function neverMoved(where: string): never {
  throw new StoreError(
    'ERR_CORRUPT',
    `${where} says that another segment took its place, or that it is longer than it is; it was cut short, or is a copy of one that was left behind. It was left untouched; load a dump, or put a whole copy there.`,
  );
}

/** Pairs with the load in `readHeader`: whoever sees READY sees all that was written before. */
export function publish(memory: Memory): void {
  memory.atomics.store(memory.u32, at.state / 4, READY);
}

export interface Header extends Plan {
  state: number;
  created: number;
  birth: bigint;
  uid: number;
}

export type Recognised = 'ours' | 'unfinished' | 'empty' | 'foreign';

/**
 * 'unfinished': its maker died while building it. 'empty': zeros but for the owner; its maker died before its next store,
 * or it is somebody else's.
 */
export function recognise(bytes: Uint8Array): Recognised {
  if (bytes.length < HEADER_BYTES) return 'foreign';
  const page = Buffer.from(bytes.buffer as ArrayBuffer, bytes.byteOffset, HEADER_BYTES);
  const blank = (from: number, to: number) => page.subarray(from, to).every(byte => byte === 0);
  const magic = MAGIC.equals(page.subarray(0, MAGIC.length));
  if (page.readUInt32LE(at.state) === BUILDING && (magic || blank(0, at.state))) return 'unfinished';
  if (magic) return 'ours';
  return blank(0, at.owner) && blank(at.owner + 8, HEADER_BYTES) ? 'empty' : 'foreign';
}

/**
 * The header; while a transaction makes a file longer, or after one that died of it, as it was before: its cells are
 * changed one after the other, and the checksum last.
 */
function pageOf(memory: Memory): Buffer {
  const {u32, atomics, buffer} = memory;
  if (buffer.length < HEADER_BYTES || checksum(buffer) === u32[at.checksum / 4]) return buffer;
  const [log, cells] = [u32[at.log / 4]!, u32[at.log / 4 + 1]!];
  const tail = atomics.load(u32, at.logTail / 4);
  const words = u32.slice(0, HEADER_BYTES / 4);
  const head = atomics.load(u32, at.logHead / 4);
  const capacity = logCapacity(cells);
  if ((log + cells) * 2 > u32.length || (head - tail) >>> 0 > capacity) return buffer;
  for (let k = head; k !== tail; ) {
    k = (k - 1) >>> 0;
    const entry = log * 2 + (k & (capacity - 1)) * ENTRY_WORDS;
    const cell = u32[entry]!;
    if (cell < HEADER_BYTES / CELL) words.set(u32.subarray(entry + 1, entry + ENTRY_WORDS), cell * 2);
  }
  const page = Buffer.from(words.buffer);
  return checksum(page) === page.readUInt32LE(at.checksum) ? page : buffer;
}

/**
 * Believes nothing: every number is checked before anything else is built on it.
 *
 * @param length - of the segment, where the memory is that of its first page alone
 */
export function readHeader(memory: Memory, where: string, length = memory.buffer.length): Header {
  const b = pageOf(memory);
  if (b.length < HEADER_BYTES || recognise(b) !== 'ours')
    throw new StoreError(
      'ERR_FOREIGN',
      `${where} is not a zlr store (no ZLRSTORE at its start); it was left untouched. Choose another name, or remove it yourself if nobody needs it.`,
    );
  const version = b.readUInt32LE(at.version);
  if (version !== VERSION)
    throw new StoreError(
      'ERR_VERSION',
      `${where} has format version ${version}, this library reads ${VERSION}; it was left untouched. Dump it with the version that wrote it and load the dump with this one.`,
    );
  const corrupt = (what: string): never => {
    throw new StoreError(
      'ERR_CORRUPT',
      `the header of ${where} is damaged (${what}); the segment was left untouched.`,
    );
  };
  if (b.readUInt32LE(at.checksum) !== checksum(b)) corrupt('its checksum does not match');
  const state = memory.atomics.load(memory.u32, at.state / 4);
  if (state !== READY && state !== MOVED) corrupt(`state ${state}`);
  const nameLength = b.readUInt32LE(at.name);
  if (nameLength < 1 || nameLength > NAME_BYTES) corrupt(`a name of ${nameLength} bytes`);
  const header: Header = {
    state,
    size: Number(b.readBigUInt64LE(at.size)),
    fingerprint: Buffer.from(b.subarray(at.fingerprint, at.fingerprint + 16)),
    name: b.toString('utf8', at.name + 4, at.name + 4 + nameLength),
    logCell: b.readUInt32LE(at.log),
    logCells: b.readUInt32LE(at.log + 4),
    schemaCell: b.readUInt32LE(at.schema),
    schemaBytes: b.readUInt32LE(at.schema + 4),
    rootCell: b.readUInt32LE(at.root),
    rootCells: b.readUInt32LE(at.root + 4),
    heapCell: b.readUInt32LE(at.heap),
    heapEnd: b.readUInt32LE(at.heap + 4),
    created: b.readDoubleLE(at.created),
    birth: birthOf(b),
    uid: b.readUInt32LE(at.uid),
  };
  if (header.size % CELL !== 0) corrupt(`${header.size} bytes`);
  if (header.size > length)
    corrupt(`it says ${header.size} bytes but the segment has ${length}; it was cut short`);
  const end = header.size / CELL;
  const ordered = [
    HEADER_BYTES / CELL,
    header.logCell,
    header.logCell + header.logCells,
    header.schemaCell,
    header.schemaCell + Math.ceil(header.schemaBytes / CELL),
    header.rootCell,
    header.rootCell + header.rootCells,
    header.heapCell,
    header.heapEnd,
    end,
  ];
  for (let i = 1; i < ordered.length; i++) if (ordered[i]! < ordered[i - 1]!) corrupt('its regions overlap');
  if (header.logCells < LEAST_LOG_CELLS) corrupt(`an undo log of ${header.logCells} cells`);
  return header;
}

/**
 * Makes a copy of format version 1 one of this version: they differ in what `lock` and the writers' names mean, and a copy
 * that is not open has none. What is damaged is left for `readHeader` to refuse.
 */
export function upgrade({u8, u32, buffer}: Memory): void {
  if (recognise(u8) !== 'ours' || u32[at.version / 4] !== 1 || u32[at.checksum / 4] !== checksum(buffer))
    return;
  u32[at.version / 4] = VERSION;
  u32[at.checksum / 4] = checksum(buffer);
}

/** Gives a copied store another name, this user as its maker, and a birth of its own. */
export function readdress(memory: Memory, name: string): void {
  const b = memory.buffer;
  b.fill(0, at.name, at.name + 4 + NAME_BYTES);
  b.writeUInt32LE(b.write(name, at.name + 4, NAME_BYTES, 'utf8'), at.name);
  b.writeUInt32LE(process.getuid!(), at.uid);
  drawBirth(memory);
  b.writeUInt32LE(checksum(b), at.checksum);
}

/** Bytes of the segment that are in use: a file may be longer, when its writer died as it made it so. */
export function sizeOf(memory: Memory): number {
  return memory.u32[at.size / 4]! + memory.u32[at.size / 4 + 1]! * 2 ** 32;
}

/** After the segment was made larger. The caller has saved the cells. */
export function updateSize(memory: Memory, size: number): void {
  const {u32} = memory;
  u32[at.size / 4] = size % 2 ** 32;
  u32[at.size / 4 + 1] = Math.floor(size / 2 ** 32);
  u32[at.heap / 4 + 1] = size / CELL;
  u32[at.checksum / 4] = checksum(memory.buffer);
}

export function schemaVersionOf(memory: Memory): number {
  return memory.atomics.load(memory.u32, at.schemaVersion / 4);
}

/** When a program comes back, and is alone with the store. */
export function lowerSchemaVersion(memory: Memory, version: number): void {
  if (version > 0 && version < schemaVersionOf(memory))
    memory.atomics.store(memory.u32, at.schemaVersion / 4, version);
}

/** It never goes back otherwise, whoever else raises it at the same time. */
export function raiseSchemaVersion(memory: Memory, version: number): void {
  for (let now = schemaVersionOf(memory); now < version; now = schemaVersionOf(memory))
    memory.atomics.compareExchange(memory.u32, at.schemaVersion / 4, now, version);
}

export function readOwner(memory: Memory): bigint {
  return memory.atomics.load(memory.u64, at.owner / CELL);
}
