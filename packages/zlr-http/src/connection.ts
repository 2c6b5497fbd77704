import {type Channel, channelBytes, channelSchema, channelStruct} from '@zlr/hread';
import {standsBy} from '@zlr/kernel-shim';
import {stages} from '@zlr/stages';
import {openStore, type RecordOf, type TableMeta, t} from '@zlr/state-store';

/** What a connection is doing: waiting for a whole request, making the answer, sending it. */
export const exchange = stages('reading', 'processing', 'sending');

/** Connections at a time. */
export const CONNECTIONS = 16_384;
/**
 * Memory for held requests and for answers on their way; idle connections need none. The small extents are enough for all
 * connections at once.
 */
const ROOM = {connections: CONNECTIONS, small: 2 * CONNECTIONS, large: 2_048};

const Connection = channelStruct({
  stage: exchange.field,
  // A request's body that is still to be thrown away; see BodyReader.
  bodyPhase: t.u32,
  bodyOverhead: t.u32,
  bodyRemaining: t.uint,
  /** Bytes of that body's content so far. */
  bodySize: t.uint,
});

export type ConnectionRecord = RecordOf<(typeof Connection)['fields']> & TableMeta;
export type Connection = Channel<ConnectionRecord>;

const schema = channelSchema(Connection, ROOM);

/** The server's state, which outlives its process: the connections and what they hold. */
export async function openConnections(name: string) {
  return openStore({name: `http-${name}`, size: channelBytes(ROOM), logSize: '64KB', schema});
}

/** How often the server's own store is looked at, so that what opens it has been compiled. */
const LOOKS = 8;

/** The same in this process' memory, of which only what is used is touched. */
export async function rehearsalConnections(name: string) {
  for (let look = 0; look < LOOKS && standsBy(); look++)
    (await openStore({name: `http-${name}`, schema, readonly: true})).close();
  return openStore({name: 'rehearsal', backend: 'memory', size: channelBytes(ROOM), schema});
}

export type ConnectionStore = Awaited<ReturnType<typeof openConnections>>;
