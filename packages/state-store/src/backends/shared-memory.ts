import {StoreError} from '../errors.js';
import {markMoved, publish} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import type {Backing} from './backing.js';
import {ChannelBell} from './bell.js';
import {assertPossible, memoryComplaint, readMemory} from './limits.js';

interface Segment {
  shared: SharedArrayBuffer;
  attached: number;
  /** Another thread has it too. */
  handed?: boolean;
}

/** Segments of this thread by name: a store that is closed and opened again finds its content. */
const segments = new Map<string, Segment>();

/** `shared`: the segment of another thread, handed over by it. */
export function attachMemory(name: string, size: number | undefined, shared?: SharedArrayBuffer): Backing {
  const known = segments.get(name);
  if (shared !== undefined && known?.shared !== shared) {
    if (!(shared instanceof SharedArrayBuffer))
      throw new StoreError(
        'ERR_OPTIONS',
        'shared: expected the SharedArrayBuffer that store.shared gave in another thread.',
      );
    const handed = {shared, attached: 0, handed: true};
    segments.set(name, handed);
    return attach(name, handed, false);
  }
  if (known) return attach(name, known, false);
  if (size === undefined)
    throw new StoreError(
      'ERR_NOT_FOUND',
      `there is no memory store '${name}' in this thread; openStore makes it when it is given a size and not readonly.`,
    );
  const made = {shared: reserve(name, size), attached: 0};
  segments.set(name, made);
  return attach(name, made, true);
}

function reserve(name: string, size: number): SharedArrayBuffer {
  assertPossible(size, `memory store '${name}'`, memoryComplaint(size, readMemory()));
  try {
    return new SharedArrayBuffer(size);
  } catch (cause) {
    throw new StoreError(
      'ERR_LIMIT',
      `cannot reserve ${size} bytes for memory store '${name}': ${(cause as Error).message}`,
      {cause},
    );
  }
}

function attach(name: string, segment: Segment, created: boolean): Backing {
  segment.attached++;
  const bytes = new Uint8Array(segment.shared);
  return {
    kind: 'memory',
    bytes,
    created,
    place: `memory ${name}`,
    where: `memory store '${name}'`,
    bell: new ChannelBell(`zlr-store ${name}`),
    address() {
      throw new StoreError(
        'ERR_BACKEND',
        `t.address needs backend 'sysv' or 'file': memory store '${name}' has no address that native code knows.`,
      );
    },
    abandoned: () => segment.attached === 1 && !segment.handed,
    blank: size => attach(name, {shared: reserve(name, size), attached: 0}, true),
    enlarge(size) {
      const larger = {shared: reserve(name, size), attached: 0};
      new Uint8Array(larger.shared).set(bytes);
      return attach(name, larger, false);
    },
    replace(by) {
      publish(new Memory(by.bytes));
      markMoved(bytes);
      if (segments.get(name)?.shared === segment.shared)
        segments.set(name, {shared: by.bytes.buffer as SharedArrayBuffer, attached: segment.attached});
    },
    successor() {
      const next = segments.get(name);
      if (!next || next.shared === segment.shared)
        throw new StoreError(
          'ERR_NOT_FOUND',
          `memory store '${name}' grew in another thread; hand its new store.shared over and open it again.`,
        );
      return attach(name, next, false);
    },
    detach: () => void segment.attached--,
    destroy() {
      segment.attached--;
      if (segments.get(name)?.shared === segment.shared) segments.delete(name);
    },
  };
}
