import {gunzipSync, gzipSync} from 'node:zlib';
import type {Backing} from '../backends/backing.js';
import {StoreError} from '../errors.js';
import {attach, readStore, type StoreOptions} from '../opening/open.js';
import {at, BUILDING, publish, readdress, readHeader} from '../segment/header.js';
import {CELL, Memory} from '../segment/memory.js';
import type {Schema, Store} from '../store/store.js';

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
  const {size} = readHeader(image, 'the dump'); // refuse before anything is made
  if (image.u32[at.logHead / 4] !== image.u32[at.logTail / 4])
    throw new StoreError(
      'ERR_CORRUPT',
      'the dump is damaged (a transaction is under way in it, which no dump has); nothing was kept of it.',
    );
  // What comes behind is the rest of a file that was about to grow.
  bytes = bytes.subarray(0, size);
  const backing: Backing = attach(place as StoreOptions<Schema>, size);
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
    readdress(memory, place.name);
    publish(memory);
    memory.detach();
    backing.sync?.();
    backing.detach();
    const loaded = await readStore(place);
    const {ok, problems} = loaded.check();
    loaded.close();
    if (!ok)
      throw new StoreError(
        'ERR_CORRUPT',
        `the dump is damaged: ${problems[0]}${problems.length > 1 ? `, and ${problems.length - 1} more` : ''}; nothing was kept of it.`,
      );
  } catch (error) {
    attach(place as StoreOptions<Schema>, undefined).destroy();
    throw error;
  }
}
