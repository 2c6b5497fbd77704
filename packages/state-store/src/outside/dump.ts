import {gunzipSync, gzipSync} from 'node:zlib';
import type {Asked, Backing} from '../backends/backing.js';
import {StoreError} from '../errors.js';
import {describedBy} from '../opening/examine.js';
import {attach, patiently, type StoreOptions} from '../opening/open.js';
import {callerOf} from '../opening/share.js';
import {Engine} from '../segment/engine.js';
import {at, BUILDING, publish, readdress, readHeader, upgrade} from '../segment/header.js';
import {CELL, Memory} from '../segment/memory.js';
import {UndoLog} from '../segment/undo-log.js';
import {type Schema, Store} from '../store/store.js';

/*
 * A dump is the segment itself as it is between two transactions, gzipped: it names no address and no process, describes
 * its own schema and has a format version, so it can be read on any machine and by any implementation of the format.
 */

/** Where a store lies. */
export type Place = Pick<StoreOptions<Schema>, 'name' | 'backend' | 'path'>;

/**
 * A consistent copy of a store as bytes, gzipped, whoever writes it meanwhile. It describes its own schema and can be read on
 * any machine.
 *
 * @throws StoreError ERR_BUSY: it is written faster than it can be copied
 */
export function dumpStore(store: Store<Schema>): Buffer {
  const snapshot = store.snapshot();
  const bytes = Buffer.from(snapshot.memory);
  snapshot.close();
  // Who had it open is no part of what is in it.
  bytes.fill(0, at.owner, at.owner + 8);
  bytes.fill(0, at.lock, at.lock + 8);
  bytes.fill(0, at.armed, at.armed + 4);
  bytes.fill(0, at.copying, at.copying + 4);
  bytes.fill(0, at.writers, at.writers + at.writersCount * 8);
  return gzipSync(bytes);
}

/**
 * Makes a store from a dump, under any name and on any backend.
 *
 * @param dump - what `dumpStore` gave
 * @param place - `path` for backend 'file'
 * @throws StoreError ERR_FOREIGN, ERR_VERSION, ERR_CORRUPT: this is no dump, or a damaged one; ERR_BUSY: there is a store already;
 *   ERR_OPTIONS, ERR_BACKEND, ERR_LIMIT: as `openStore`
 */
export async function loadStore(dump: Uint8Array, place: Place): Promise<void> {
  const opened = callerOf(loadStore);
  let bytes: Buffer;
  try {
    bytes = gunzipSync(dump);
  } catch (cause) {
    throw new StoreError(
      'ERR_FOREIGN',
      `this is no dump of a store: ${(cause as Error).message}; expected what \`zlr dump\` writes.`,
      {cause},
    );
  }
  const whole = bytes.subarray(0, bytes.length - (bytes.length % CELL));
  const image = new Memory(new Uint8Array(new SharedArrayBuffer(whole.length)));
  image.u8.set(whole);
  upgrade(image);
  const {size} = readHeader(image, 'the dump'); // refuse before anything is made
  if (image.u32[at.logHead / 4] !== image.u32[at.logTail / 4])
    throw new StoreError(
      'ERR_CORRUPT',
      'the dump is damaged (a transaction is under way in it, which no dump has); nothing was kept of it.',
    );
  // What comes behind is the rest of a file that was about to grow.
  bytes = image.buffer.subarray(0, size);
  const {name} = place;
  const asked: Asked = {name, size, access: 'one', opened};
  const backing: Backing = await patiently(() => attach(place, asked));
  if (!backing.created) {
    backing.detach();
    throw new StoreError(
      'ERR_BUSY',
      `there is a store at ${backing.where} already; remove it first, or load under another name.`,
    );
  }
  try {
    const memory = new Memory(backing.bytes);
    // As long as it is half copied it must look half made.
    memory.atomics.store(memory.u32, at.state / 4, BUILDING);
    memory.u8.set(bytes.subarray(0, at.state));
    memory.u8.set(bytes.subarray(at.state + 4), at.state + 4);
    readdress(memory, name);
    assertWhole(image, backing);
    publish(memory);
    backing.sync?.();
    backing.appear();
    memory.detach();
  } catch (error) {
    backing.destroy();
    throw error;
  }
  backing.detach();
}

function assertWhole(image: Memory, backing: Backing): void {
  const header = readHeader(image, 'the dump');
  const log = new UndoLog(image, header.logCell, header.logCells);
  const engine = new Engine(header.name, 'the dump', image, log, header, 'none');
  const {ok, problems} = new Store(
    engine,
    backing,
    describedBy(image, backing, header),
    0,
    undefined,
  ).check();
  if (!ok)
    throw new StoreError(
      'ERR_CORRUPT',
      `the dump is damaged: ${problems[0]}${problems.length > 1 ? `, and ${problems.length - 1} more` : ''}; nothing was kept of it.`,
    );
}
