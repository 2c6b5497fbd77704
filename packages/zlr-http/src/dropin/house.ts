import {openStore, struct, t} from '@zlr/state-store';
import {Exchange} from './exchange-record.js';

/** Connections that are kept at a time; more are served and end with their process. */
export const CONNECTIONS = 4096;
/** A request that is held, or the part of an answer that waits to be sent; of a connection that is idle, nothing. */
export const SLOT_SIZE = 64 * 1024;
export const SLOTS = 2048;

/** A listening socket, and the port that was asked for: who asked for any is to find it again. */
const Listener = struct('Listener', {cookie: t.u64, asked: t.u32});

/** What outlives the process: its HTTP connections, and what they hold. The pages of a slot are touched when it is used. */
export async function openHouse(name: string) {
  const store = await openStore({
    name,
    size: CONNECTIONS * 256 + SLOTS * SLOT_SIZE + 2 ** 20,
    logSize: '64KB',
    schema: {
      exchanges: t.table(Exchange, {capacity: CONNECTIONS}),
      listeners: t.table(Listener, {capacity: 64}),
      slots: t.raw(SLOTS * SLOT_SIZE),
      // What became of connections at faults, all generations together; `zlr status` shows them.
      runAgain: t.uint,
      resumed: t.uint,
      refused: t.uint,
      poison: t.uint,
      reset: t.uint,
    },
  });
  const {exchanges} = store.root;
  // Native code takes a free record between two calls from libuv, where no transaction can be: all of them are there from the beginning.
  if (exchanges.size < CONNECTIONS) {
    for (let left = CONNECTIONS - exchanges.size; left > 0; left--) exchanges.insert({});
  }
  return store;
}

export type House = Awaited<ReturnType<typeof openHouse>>;
