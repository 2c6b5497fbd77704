import {types} from 'node:util';
import {createGunzip} from 'node:zlib';
import {anything, optional, text} from '@zlr/kernel-shim/internal';
import type {Asked, Backing} from '../backends/backing.js';
import {reserve} from '../backends/shared-memory.js';
import {assertHolds} from '../backends/size.js';
import {assertFits, StoreError, show} from '../errors.js';
import {describedBy} from '../opening/examine.js';
import {assertName, attach, patiently, type StoreOptions} from '../opening/open.js';
import {callerOf} from '../opening/share.js';
import {Engine} from '../segment/engine.js';
import {at, BUILDING, HEADER_BYTES, publish, readdress, readHeader, upgrade} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {UndoLog} from '../segment/undo-log.js';
import {forgetUsers, imageOf} from '../store/image.js';
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
  return imageOf(store);
}

/** Deflate makes of a byte at most so many. */
const MOST_PER_BYTE = 1032;

/**
 * What a dump holds, as large as its header says: no more is kept of it, and no more than that again, the rest of a file that
 * was about to grow, is looked at. So a few bytes that would inflate to any number are refused before they have.
 */
async function unpack(dump: Uint8Array, backend: Backing['kind']): Promise<Uint8Array> {
  const page = new Uint8Array(HEADER_BYTES);
  let image: Uint8Array | undefined;
  let count = 0;
  const corrupt = (what: string, cause?: unknown): never => {
    throw new StoreError('ERR_CORRUPT', `the dump is damaged (${what}); nothing was kept of it.`, {cause});
  };
  const begin = () => {
    const header = new Memory(page);
    upgrade(header);
    const {size} = readHeader(header, 'the dump', Number.POSITIVE_INFINITY);
    if (header.u32[at.logHead / 4] !== header.u32[at.logTail / 4])
      corrupt('a transaction is under way in it, which no dump has');
    if (size > dump.length * MOST_PER_BYTE) corrupt(`it is too short to hold the ${size} bytes it says`);
    assertHolds(backend, size, 'the dump');
    image = new Uint8Array(reserve(size, 'what the dump holds'));
    image.set(page);
  };
  const gunzip = createGunzip({chunkSize: 2 ** 17});
  gunzip.end(dump);
  try {
    for await (const chunk of gunzip as AsyncIterable<Buffer>) {
      if (count < HEADER_BYTES) page.set(chunk.subarray(0, HEADER_BYTES - count), count);
      if (image === undefined && count + chunk.length >= HEADER_BYTES) begin();
      if (image !== undefined && count < image.length)
        image.set(chunk.subarray(0, image.length - count), count);
      count += chunk.length;
      if (image !== undefined && count > image.length * 2)
        corrupt(`it goes on behind the ${image.length} bytes that its header says`);
    }
  } catch (cause) {
    if (cause instanceof StoreError) throw cause;
    if (image !== undefined) corrupt((cause as Error).message, cause);
    throw new StoreError(
      'ERR_FOREIGN',
      `this is no dump of a store: ${(cause as Error).message}; expected what \`zlr dump\` writes.`,
      {cause},
    );
  }
  if (image === undefined)
    throw new StoreError(
      'ERR_FOREIGN',
      `this is no dump of a store: it holds ${count} bytes; expected what \`zlr dump\` writes.`,
    );
  if (count < image.length)
    corrupt(`its header says ${image.length} bytes, but it holds ${count}; it was cut short`);
  upgrade(new Memory(image));
  forgetUsers(image); // somebody may have packed a file as it was
  return image;
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
  assertFits('loadStore', place, {name: anything, backend: anything, path: optional(text)});
  assertName(place.name);
  if (!types.isUint8Array(dump))
    throw new StoreError('ERR_OPTIONS', `dump: ${show(dump)}; expected the bytes that dumpStore gave.`);
  const bytes = await unpack(dump, place.backend ?? 'sysv');
  const image = new Memory(bytes);
  const {name} = place;
  const asked: Asked = {name, size: bytes.length, access: 'one', opened};
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
    describedBy(image, 'the dump', header),
    0,
    undefined,
  ).check();
  if (!ok)
    throw new StoreError(
      'ERR_CORRUPT',
      `the dump is damaged: ${problems[0]}${problems.length > 1 ? `, and ${problems.length - 1} more` : ''}; nothing was kept of it.`,
    );
}
