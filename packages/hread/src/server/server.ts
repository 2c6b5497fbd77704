import {generation, ownName, reportBlamed} from '@zlr/kernel-shim';
import {
  anything,
  call,
  type Expected,
  integer,
  optional,
  port as portNumber,
  record,
  say,
  text,
} from '@zlr/kernel-shim/internal';
import {
  openStore,
  type RecordOf,
  type RootOf,
  readStore,
  type Schema,
  StoreError,
  type StoreOptions,
  struct,
  t,
} from '@zlr/state-store';
import type {Channel} from '../channels/channel.js';
import {channelStruct} from '../channels/channel-record.js';
import {LARGE} from '../channels/extents.js';
import {assertFits} from '../errors.js';
import type {Address} from '../reactor/listen.js';
import {ChannelLoop} from '../reactor/loop.js';
import type {ChannelStore, Protocol} from '../reactor/protocol.js';
import type {RecoveryReport} from '../reactor/recovery.js';
import {channelBytes, channelSchema, channelStore} from '../reactor/schema.js';
import {keepCapsule} from './capsule.js';
import {type ClosedWhy, Connection, type OwnRecord} from './connection.js';
import {begin, over} from './life.js';
import {capsuleToReplay, feed} from './replay.js';
import type {Unit} from './unit.js';
import {Worker} from './worker.js';

type Fields = Parameters<typeof struct>[1];

/** `renames`, `drop`, `migrate` and `version` say, as in `openStore`, what becomes of a state that a former program left. */
export interface ServerOptions<S extends Schema, C extends Fields>
  extends Pick<StoreOptions<S>, 'renames' | 'drop' | 'migrate' | 'version'> {
  /** Names the server's state, so that the next generation finds it; of several workers (`zlr run --workers`) each has its own. */
  name: string;
  /** Your own state beside the connections: the schema of a store. */
  state?: S;
  /** Fields of your own for each connection: `connection.data`. */
  connection?: C;
  /** A new connection, in a transaction; once for each, also over restarts. */
  open?(connection: Connection<RecordOf<C>>): void;
  /**
   * There is held input. Return without consuming to wait for more. A function that is not `async` is one transaction:
   * what it writes to the state, consumes and sends, on this and other connections, happens together or not at all,
   * whatever kills the process. In an asynchronous one `connection.commit` is that.
   */
  input(connection: Connection<RecordOf<C>>, unit: Unit<RecordOf<C>>): void | Promise<void>;
  /** The connection has gone. */
  closed?(connection: Connection<RecordOf<C>>, why: ClosedWhy): void;
  /**
   * Its input has twice made `input` throw, or has ended the process more than once. `unit` is what is held. What is
   * not consumed here ends the connection; without `poison` it is ended at once.
   */
  poison?(connection: Connection<RecordOf<C>>, unit: Buffer, error: unknown): void;
  /** What a throw of `input` does: it concerns the connection alone (default), or is a fault, which ends the process. */
  throws?: 'poison' | 'fault';
  /** What becomes of the state at an end in good order (default: 'remove'). */
  stop?: 'keep' | 'remove';
  /** Bytes for your state (default 16 MiB); a store keeps the size it was made with. */
  stateBytes?: number;
  /** Connections at a time (default 1,024); no fewer than a killed program had, whose connections go on. */
  connections?: number;
  /** Seconds after which a quiet connection is ended (default 300). */
  idleSeconds?: number;
  /** Seconds in which held input must have become whole, so that some of it is consumed (default 120). */
  unitSeconds?: number;
  /** Bytes of input that a connection may hold: the longest unit (default 1 MiB). */
  unitBytes?: number;
  /** Bytes of output that a connection may have waiting; one that reads more slowly is ended (default 1 MiB). */
  outputBytes?: number;
}

/** The compiler sees to it that none is missing. What the store is to look at, it looks at. */
const OPTIONS = {
  name: anything,
  state: optional(record),
  connection: optional(record),
  open: optional(call),
  input: call,
  closed: optional(call),
  poison: optional(call),
  throws: optional({what: "'poison' or 'fault'", fits: value => value === 'poison' || value === 'fault'}),
  stop: optional({what: "'keep' or 'remove'", fits: value => value === 'keep' || value === 'remove'}),
  stateBytes: optional(integer(0, 2 ** 32)),
  connections: optional(integer(1, 2 ** 20)),
  idleSeconds: optional(integer(1, 2 ** 20)),
  unitSeconds: optional(integer(1, 2 ** 20)),
  unitBytes: optional(integer(LARGE, 2 ** 28)),
  outputBytes: optional(integer(LARGE, 2 ** 28)),
  renames: anything,
  drop: anything,
  migrate: anything,
  version: anything,
} satisfies Record<keyof ServerOptions<Schema, Fields>, Expected>;

/** The connections of a server, also those that a former generation had and that have sent nothing since. */
export interface Connections<D> extends Iterable<Connection<D>> {
  readonly size: number;
  get(id: number): Connection<D> | undefined;
}

export interface Server<S extends Schema, D> {
  readonly state: RootOf<S>;
  readonly connections: Connections<D>;
  /** This life's number. */
  readonly generation: number;
  /** What became of the former generation's connections. */
  readonly recovered: RecoveryReport;
  /** All that `work` does to the state and to connections happens or does not, whatever kills the process. */
  transaction<T>(work: () => T): T;
  /** Input comes from when this has resolved; that of recovered connections, too. */
  listen(where: {port: number; host?: string}): Promise<Address>;
  /** Ends in good order: answers on their way are sent (10 s at most). SIGTERM does it too. */
  close(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

const DRAIN_SECONDS = 10;
/** Memory that a connection's output may occupy before its input waits. */
const MOST_OUTPUT = 64 * 1024;

/**
 * A server whose connections, unprocessed input, half-sent answers and state outlive its process. Under a supervisor
 * (`zlr run -- node server.js`) it is restarted after a fault and nobody notices; without one it is an ordinary
 * server.
 *
 * @throws HreadError OPTION_INVALID; StoreError as `openStore`, ERR_BUSY among them: another program has the state of this name
 */
export async function createServer<
  const S extends Schema = Record<never, never>,
  const C extends Fields = Record<never, never>,
>(options: ServerOptions<S, C>): Promise<Server<S, RecordOf<C>>> {
  assertFits('createServer', options, OPTIONS);
  type Data = RecordOf<C>;
  type Own = Channel<OwnRecord<Data>>;
  const replayed = capsuleToReplay();
  const name = replayed ? `${options.name}-replay-${process.pid}` : ownName(options.name);
  const {idleSeconds = 300, unitSeconds = 120, unitBytes = 2 ** 20, outputBytes = 2 ** 20} = options;
  const {stop = 'remove', open, closed, poison} = options;
  const throws = replayed ? 'fault' : (options.throws ?? 'poison');
  const connections = Math.max(options.connections ?? 1024, await roomLeft(name));
  // Two of the small for each: its first input, and a short answer. Of the large there is enough for a few that are at
  // their limits, and one for each while they are not.
  const room = {
    connections,
    small: 2 * connections,
    large: Math.max(64, connections, 2 * Math.ceil((unitBytes + outputBytes) / LARGE)),
  };
  const own =
    options.connection && Object.keys(options.connection).length > 0 ? options.connection : undefined;
  const of = channelStruct({faults: t.u8, ...(own && {own: struct('Own', own)})});
  const {renames = {}, drop = [], migrate, version} = options;
  const store = await openStore({
    name,
    ...(replayed && {backend: 'memory'}), // whatever ends this process, nothing of it stays
    size: (options.stateBytes ?? 2 ** 24) + channelBytes(room),
    logSize: '768KB',
    schema: {...(options.state ?? {}), ...channelSchema(of, room)},
    renames,
    drop,
    ...(migrate && {migrate: (from, to) => migrate(from, to as unknown as RootOf<S>)}),
    ...(version !== undefined && {version}),
  });

  const byIndex: (Connection<Data> | undefined)[] = [];
  const connectionOf = (channel: Own): Connection<Data> =>
    (byIndex[channel.index] ??= new Connection<Data>(loop, channel, outputBytes));
  const endFor = (why: ClosedWhy) => (channel: Own) => {
    const connection = connectionOf(channel);
    connection.why ??= why;
    connection.destroy();
  };
  const protocol: Protocol<OwnRecord<Data>> = {
    accepted(channel) {
      open?.(connectionOf(channel));
      if (replayed && own) Object.assign(channel.record.own as object, replayed.header.connection.data);
    },
    input(channel) {
      const {consumed} = channel.record;
      worker.input(channel);
      if (channel.closed || channel.busy || channel.queued || channel.record.consumed > consumed) return;
      if (channel.held > unitBytes) endFor('overdue')(channel);
    },
    failed: channel => worker.abort(channel),
    drained: channel => connectionOf(channel).wake(),
    ended: channel => loop.end(channel),
    idle: endFor('idle'),
    overdue: endFor('overdue'),
    closed(channel) {
      const connection = connectionOf(channel);
      worker.forget(channel);
      byIndex[channel.index] = undefined;
      connection.wake();
      closed?.(connection, connection.why ?? (channel.failed ? 'failed' : 'ended'));
    },
  };
  const loop: ChannelLoop<OwnRecord<Data>> = new ChannelLoop<OwnRecord<Data>>(
    channelStore(store as never) as ChannelStore<OwnRecord<Data>>,
    protocol,
    {idleSeconds, unitSeconds, mostHeld: unitBytes + 2 * LARGE, mostOutput: MOST_OUTPUT, inTurn: false},
  );
  const worker = new Worker<Data>(
    loop,
    {input: options.input, throws, ...(poison && {poison}), keep},
    connectionOf,
  );

  function keep(
    connection: Connection<Data>,
    {own: data, consumed}: OwnRecord<Data>,
    unit: Buffer,
    error: unknown,
  ): void {
    reportBlamed();
    const {id, recovered} = connection;
    const {argv, version: node} = process;
    try {
      const path = keepCapsule(
        {
          name,
          generation: generation(),
          connection: {id, recovered, consumed, data},
          error: describe(error),
          program: {argv, cwd: process.cwd(), node},
        },
        unit,
      );
      say(
        `input of connection ${id} could not be processed; it is kept: zlr replay ${path} -- ${process.argv0} ...`,
      );
    } catch (reason) {
      // Whatever only helps to find out why must not stop the server.
      say(`input of connection ${id} could not be processed, nor kept: ${(reason as Error).message}`);
    }
  }

  let listening: Promise<Address> | undefined;
  let closing: Promise<void> | undefined;
  async function closeOnce(): Promise<void> {
    await listening?.catch(() => {}); // who called listen has the error
    await loop.drain(DRAIN_SECONDS);
    loop.destroy();
    if (stop === 'keep') store.close();
    else store.destroy();
    over(close);
  }
  const close = (): Promise<void> => (closing ??= closeOnce());
  begin(close);
  const recovered = loop.recover();
  if (generation() > 1) {
    const channels = [...loop];
    const count = (is: (channel: (typeof channels)[number]) => boolean): number => channels.filter(is).length;
    say(
      `generation ${generation()} of '${name}' goes on with ${recovered.recovered} connections (${count(({held}) => held > 0)} with input ` +
        `that is held, ${count(({sending}) => sending)} with an answer on its way), ${recovered.adopted} new, ${recovered.dropped.length} gone`,
    );
  }
  for (const channel of loop) worker.recover(channel);
  return {
    state: store.root as unknown as RootOf<S>,
    connections: {
      get size() {
        return loop.size;
      },
      get(id) {
        for (const channel of loop) if (channel.id === id) return connectionOf(channel);
        return undefined;
      },
      *[Symbol.iterator]() {
        for (const channel of loop) yield connectionOf(channel);
      },
    },
    generation: generation(),
    recovered,
    transaction: work => loop.transaction(work),
    async listen(where) {
      assertFits('listen', where, {port: portNumber, host: optional(text)});
      listening = loop.listen({host: '127.0.0.1', ...where, ...(replayed && {host: '127.0.0.1', port: 0})});
      if (replayed) listening.then(at => feed(at, replayed.unit)).then(close);
      return listening;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function describe(error: unknown): {name: string; message: string; stack?: string} {
  if (!(error instanceof Error)) return {name: typeof error, message: String(error)};
  const {name, message, stack} = error;
  return {name, message, ...(stack !== undefined && {stack})};
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
