import {types} from 'node:util';
import {StoreError} from '../errors.js';
import {markMoved, publish, recognise} from '../segment/header.js';
import {Memory} from '../segment/memory.js';
import {Tenure} from '../segment/tenure.js';
import type {Asked, Backing} from './backing.js';
import {ChannelBell} from './bell.js';
import {busy} from './busy.js';
import {hold, letGoOf} from './holdings.js';
import {assertPossible, memoryComplaint, readMemory} from './limits.js';
import {ThreadSeats} from './thread-seats.js';

interface Segment {
  shared: SharedArrayBuffer;
  attached: number;
  /** Another thread has it too. */
  handed?: boolean;
}

const SEGMENTS = Symbol.for('@zlr/state-store: memory of this thread, 1');

/** Segments of this thread by name, however often this package is loaded: a store that is closed and opened again finds its content. */
function segments(): Map<string, Segment> {
  const global = globalThis as {[SEGMENTS]?: Map<string, Segment>};
  global[SEGMENTS] ??= new Map();
  return global[SEGMENTS];
}

/** `shared`: the segment of another thread, handed over by it. */
export function attachMemory(asked: Asked, shared?: SharedArrayBuffer): Backing {
  const {name, size} = asked;
  const known = segments().get(name);
  if (shared !== undefined && known?.shared !== shared) {
    if (!types.isSharedArrayBuffer(shared))
      throw new StoreError(
        'ERR_OPTIONS',
        'shared: expected the SharedArrayBuffer that store.shared gave in another thread.',
      );
    const handed = {shared, attached: 0, handed: true};
    const opened = enter(asked, handed, false);
    segments().set(name, handed);
    return opened;
  }
  if (known) return enter(asked, known, false);
  if (size === undefined)
    throw new StoreError(
      'ERR_NOT_FOUND',
      `there is no memory store '${name}' in this thread; openStore makes it when it is given a size and not readonly.`,
    );
  const made = {shared: reserve(size, `memory store '${name}'`), attached: 0};
  const opened = enter(asked, made, true);
  segments().set(name, made);
  return opened;
}

/** So many bytes of this process, zeros. */
export function reserve(size: number, where: string): SharedArrayBuffer {
  assertPossible(size, where, memoryComplaint(size, readMemory()));
  try {
    return new SharedArrayBuffer(size);
  } catch (cause) {
    throw new StoreError(
      'ERR_LIMIT',
      `cannot reserve ${size} bytes for ${where}: ${(cause as Error).message}`,
      {cause},
    );
  }
}

export function placeOfMemory(name: string): string {
  return `memory ${name}`;
}

/** Takes the place that is asked for; what is no store is left as it is, and refused later. */
function enter(asked: Asked, segment: Segment, created: boolean): Backing {
  const {name, access, opened} = asked;
  const bytes = new Uint8Array(segment.shared);
  if (access === 'none' || recognise(bytes) === 'foreign') return attach(asked, segment, created, undefined);
  const where = `memory store '${name}'`;
  const place = placeOfMemory(name);
  hold(place, where, opened);
  const memory = new Memory(bytes);
  const seats = new ThreadSeats(memory);
  const tenure = new Tenure(seats);
  if (created || access === 'one' ? tenure.alone() : tenure.join())
    return attach(asked, segment, created, tenure);
  letGoOf(place);
  throw busy(where, seats, memory, access);
}

function attach(asked: Asked, segment: Segment, created: boolean, tenure: Tenure | undefined): Backing {
  const {name} = asked;
  segment.attached++;
  const bytes = new Uint8Array(segment.shared);
  let attached = true;
  const detach = (): void => {
    if (!attached) return;
    attached = false;
    segment.attached--;
    if (!tenure || moved) return;
    tenure.leave();
    letGoOf(placeOfMemory(name));
  };
  let moved = false;
  return {
    kind: 'memory',
    bytes,
    created,
    place: placeOfMemory(name),
    where: `memory store '${name}'`,
    tenure,
    writable: true,
    bell: new ChannelBell(`zlr-store ${name}`),
    address() {
      throw new StoreError(
        'ERR_BACKEND',
        `t.address needs backend 'sysv' or 'file': memory store '${name}' has no address that native code knows.`,
      );
    },
    abandoned: () => segment.attached === 1 && !segment.handed,
    appear() {},
    blank: size =>
      attach(asked, {shared: reserve(size, `memory store '${name}'`), attached: 0}, true, undefined),
    enlarge(size) {
      const larger = {shared: reserve(size, `memory store '${name}'`), attached: 0};
      new Uint8Array(larger.shared).set(bytes);
      return attach(asked, larger, false, tenure);
    },
    replace(by) {
      publish(new Memory(by.bytes));
      markMoved(bytes);
      moved = true;
      tenure!.move(new ThreadSeats(new Memory(by.bytes)));
      if (segments().get(name)?.shared === segment.shared)
        segments().set(name, {shared: by.bytes.buffer as SharedArrayBuffer, attached: segment.attached});
    },
    successor() {
      const next = segments().get(name);
      if (!next || next.shared === segment.shared)
        throw new StoreError(
          'ERR_NOT_FOUND',
          `memory store '${name}' grew or was destroyed in another thread; hand its new store.shared over and open it again.`,
        );
      return attach(asked, next, false, tenure);
    },
    detach,
    destroy() {
      markMoved(bytes); // for the other threads that have it
      if (segments().get(name)?.shared === segment.shared) segments().delete(name);
      detach();
    },
  };
}
