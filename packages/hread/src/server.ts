import {types} from 'node:util';
import {endOrderly, generation, reregist} from '@zlr/kernel-shim';
import {
  anything,
  call,
  type Expected,
  flag,
  integer,
  optional,
  port as portNumber,
  record,
  text,
} from '@zlr/kernel-shim/internal';
import {
  openStore,
  type RootOf,
  readStore,
  type Schema,
  StoreError,
  type StoreOptions,
  t,
} from '@zlr/state-store';
import type {Channel, ChannelRecord} from './channels/channel.js';
import {channelStruct} from './channels/channel-record.js';
import {assertFits, HreadError} from './errors.js';
import type {Address} from './reactor/listen.js';
import {ChannelLoop, SLOT_SIZE} from './reactor/loop.js';
import type {RecoveryReport} from './reactor/recovery.js';

/** `renames`, `drop`, `migrate` and `version` say, as in `openStore`, what becomes of a state that a former program left. */
export interface ServerOptions<S extends Schema>
  extends Pick<StoreOptions<S>, 'renames' | 'drop' | 'migrate' | 'version'> {
  /** Names the server's state, so that the next generation finds it. */
  name: string;
  /** Your own state beside the connections: the schema of a store. */
  state?: S;
  /**
   * Called when a connection has input and no answer on its way, with all that it holds. Return without a reply to
   * wait for more. The whole call is one transaction: what it writes to the state, the input it consumes and the
   * answer it gives happen together or not at all, whatever kills the process.
   */
  input(request: Request<S>): void;
  /** Bytes for your state (default 16 MiB); a store keeps the size it was made with. */
  stateBytes?: number;
  /** Connections at a time (default 1,024); no fewer than a killed program had, whose connections go on. */
  connections?: number;
  /** Seconds after which a quiet connection is ended (default 300). */
  idleSeconds?: number;
}

/** The compiler sees to it that none is missing. What the store is to look at, it looks at. */
const OPTIONS = {
  name: anything,
  state: optional(record),
  input: call,
  stateBytes: optional(integer(0, 2 ** 32)),
  connections: optional(integer(1, 2 ** 20)),
  idleSeconds: optional(integer(1, 2 ** 20)),
  renames: anything,
  drop: anything,
  migrate: anything,
  version: anything,
} satisfies Record<keyof ServerOptions<Schema>, Expected>;

/** What `input` works with. */
export interface Request<S extends Schema> {
  /** The held bytes: a view of shared memory, valid during the call. */
  readonly held: Buffer;
  /** Your state, live. */
  readonly state: RootOf<S>;
  /**
   * Consumes the first bytes held and answers them. Once a call; `input` is called again when more is held.
   *
   * @throws HreadError REPLY_TOO_LARGE above 32 KiB, REPLY_TWICE, HOLD_EXCEEDED, OPTION_INVALID
   */
  reply(consumed: number, answer: string | Uint8Array, options?: {close?: boolean}): void;
  /** Consumes without an answer; `input` is called again when more is held. */
  consume(count: number): void;
  /** Ends the connection without an answer. */
  close(): void;
}

export interface Server<S extends Schema> {
  readonly state: RootOf<S>;
  /** This life's number. */
  readonly generation: number;
  /** What became of the former generation's connections. */
  readonly recovered: RecoveryReport;
  listen(where: {port: number; host?: string}): Promise<Address>;
  /** Ends in good order: answers on their way are sent (10 s at most), the state is removed. SIGTERM does it too. */
  close(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

const DRAIN_SECONDS = 10;

/**
 * A server whose connections, unprocessed input, half-sent answers and state outlive its process. Under a supervisor
 * (`zlr run -- node server.js`) it is restarted after a fault and nobody notices; without one it is an ordinary
 * server.
 *
 * @throws HreadError OPTION_INVALID; StoreError as `openStore`, ERR_BUSY among them: another program has the state of this name
 */
export async function createServer<const S extends Schema = Record<never, never>>(
  options: ServerOptions<S>,
): Promise<Server<S>> {
  assertFits('createServer', options, OPTIONS);
  const {
    name,
    state: own,
    input,
    connections: wanted = 1024,
    idleSeconds = 300,
    stateBytes = 2 ** 24,
    renames = {},
    drop = [],
    migrate,
    version,
  } = options;
  const connections = Math.max(wanted, await roomLeft(name));
  const slotCount = Math.max(64, connections);
  const store = await openStore({
    name,
    size: stateBytes + connections * 256 + slotCount * SLOT_SIZE + 2 ** 20,
    schema: {
      ...(own ?? {}),
      zlrChannels: t.table(channelStruct({}), {capacity: connections}),
      zlrSlots: t.raw(slotCount * SLOT_SIZE),
    },
    renames,
    drop,
    ...(migrate && {migrate: (from, to) => migrate(from, to as unknown as RootOf<S>)}),
    ...(version !== undefined && {version}),
  });
  const {zlrChannels: table, zlrSlots: slots} = store.root;
  const state = store.root as unknown as RootOf<S>;
  const transaction = <T>(work: () => T): T => store.transaction(work);

  const loop = new ChannelLoop<ChannelRecord>(
    {memory: store.memory, transaction, table, layout: store.layout('zlrChannels'), slots},
    {
      input: channel => onInput(channel),
      sent() {},
      ended: channel => loop.close(channel),
      idle: channel => loop.close(channel),
      closed() {},
    },
    idleSeconds,
  );

  function onInput(channel: Channel<ChannelRecord>): void {
    const slot = loop.takeSlot(channel);
    if (slot < 0) return;
    let isAnswered = false;
    let before: number;
    do {
      before = channel.held;
      const request: Request<S> = {
        held: slots.subarray(channel.start, channel.end),
        state,
        reply(consumed, answer, how = {}) {
          assertFits('reply', how, {close: optional(flag)});
          const {close = false} = how;
          // Before its bytes would take the place of those that are on their way.
          if (isAnswered)
            throw new HreadError('REPLY_TWICE', 'reply was called before in this call of input');
          const length = writeAnswer(slots, slot, answer);
          loop.answer(channel, consumed, {slot, length, fileFd: -1, fileOffset: 0, fileLength: 0, close});
          isAnswered = true;
        },
        consume: count => loop.consume(channel, count),
        close: () => loop.close(channel),
      };
      store.transaction(() => input(request));
      // What was consumed without an answer may stand before more that is whole.
    } while (!isAnswered && !channel.closed && channel.held > 0 && channel.held < before);
    if (!isAnswered) loop.slots.give(slot);
  }

  let listening: Promise<Address> | undefined;
  let closing: Promise<void> | undefined;
  async function closeOnce(): Promise<void> {
    await listening?.catch(() => {}); // who called listen has the error
    await loop.drain(DRAIN_SECONDS);
    loop.destroy();
    store.destroy();
    endOrderly();
    process.off('SIGTERM', end);
    process.off('SIGINT', end);
  }
  const close = (): Promise<void> => (closing ??= closeOnce());
  const end = (): Promise<never> => close().then(() => process.exit(0));
  // Before reregist: from there on the supervisor may ask for the end. They stay until then: a second signal must not
  // cut short what the first one began.
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  reregist();
  const recovered = loop.recover();
  return {
    state,
    generation: generation(),
    recovered,
    async listen(where) {
      assertFits('listen', where, {port: portNumber, host: optional(text)});
      listening = loop.listen({host: '127.0.0.1', ...where});
      return listening;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Connections that a killed program had room for: those that are to go on may stand anywhere in it. */
async function roomLeft(name: string): Promise<number> {
  try {
    const store = await readStore({name});
    const table = store.describe().fields?.find(field => field.name === 'zlrChannels');
    store.close();
    return table?.type.length ?? 0;
  } catch (error) {
    if (error instanceof StoreError && error.code === 'ERR_NOT_FOUND') return 0;
    throw error;
  }
}

function writeAnswer(slots: Buffer, slot: number, answer: string | Uint8Array): number {
  if (typeof answer !== 'string' && !types.isUint8Array(answer))
    assertFits('reply', {answer}, {answer: {what: 'a string or bytes', fits: () => false}});
  const length = typeof answer === 'string' ? Buffer.byteLength(answer) : answer.length;
  if (length > SLOT_SIZE) {
    throw new HreadError(
      'REPLY_TOO_LARGE',
      `a reply of ${length} bytes does not fit its slot of ${SLOT_SIZE}; send it in parts, one for each input`,
    );
  }
  const at = slot * SLOT_SIZE;
  if (typeof answer === 'string') slots.write(answer, at);
  else slots.set(answer, at);
  return length;
}
