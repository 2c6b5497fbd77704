import {gzipSync} from 'node:zlib';
import {at} from '../segment/header.js';
import type {Schema, Store} from './store.js';

/**
 * A consistent copy of a store as bytes, gzipped, whoever writes it meanwhile: what a dump is.
 *
 * @throws StoreError ERR_BUSY: it is written faster than it can be copied
 */
export function imageOf(store: Store<Schema>): Buffer {
  const snapshot = store.snapshot();
  const bytes = Buffer.from(snapshot.memory);
  snapshot.close();
  forgetUsers(bytes);
  return gzipSync(bytes);
}

/** Who had it open is no part of what is in it. */
export function forgetUsers(bytes: Uint8Array): void {
  bytes.fill(0, at.owner, at.owner + 8);
  bytes.fill(0, at.lock, at.lock + 8);
  bytes.fill(0, at.armed, at.armed + 4);
  bytes.fill(0, at.copying, at.copying + 4);
  bytes.fill(0, at.writers, at.writers + at.writersCount * 8);
}
