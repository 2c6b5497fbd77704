import type {Backing} from './backing.js';
import {StoreError} from './errors.js';

/** Segments of this process by name: a store that is closed and opened again finds its content. */
const segments = new Map<string, {bytes: Uint8Array; attached: number}>();

export function attachMemory(name: string, size: number | undefined): Backing {
  let segment = segments.get(name);
  const created = segment === undefined;
  if (segment === undefined) {
    if (size === undefined)
      throw new StoreError('ERR_NOT_FOUND', `there is no memory store '${name}' in this process.`);
    let shared: SharedArrayBuffer;
    try {
      shared = new SharedArrayBuffer(size);
    } catch (cause) {
      throw new StoreError(
        'ERR_LIMIT',
        `cannot reserve ${size} bytes for memory store '${name}': ${(cause as Error).message}`,
        {cause},
      );
    }
    segment = {bytes: new Uint8Array(shared), attached: 0};
    segments.set(name, segment);
  }
  const mine = segment;
  mine.attached++;
  return {
    kind: 'memory',
    bytes: mine.bytes,
    created,
    where: `memory store '${name}'`,
    abandoned: () => mine.attached === 1,
    detach: () => void mine.attached--,
    destroy() {
      mine.attached--;
      if (segments.get(name) === mine) segments.delete(name);
    },
  };
}
