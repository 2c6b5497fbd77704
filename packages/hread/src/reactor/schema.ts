import {type Struct, t} from '@zlr/state-store';
import type {ChannelRecord} from '../channels/channel.js';
import {listenerStruct} from '../channels/channel-record.js';
import {bytesFor, type Room} from '../channels/extents.js';
import type {ChannelStore} from './protocol.js';

/** The part of a store's schema that a loop needs. `of` is made by `channelStruct`. */
export const channelSchema = <F extends Parameters<typeof t.table>[0]['fields']>(
  of: Struct<F>,
  room: Room & {connections: number},
) => ({
  zlrChannels: t.table(of, {capacity: room.connections}),
  zlrListeners: t.table(listenerStruct, {capacity: 16}),
  zlrPool: t.raw(bytesFor(room).pool),
  zlrExtents: t.raw(bytesFor(room).extents),
});

/** Bytes that it takes, beside what your own fields do. */
export const channelBytes = (room: Room & {connections: number}): number =>
  bytesFor(room).pool + bytesFor(room).extents + room.connections * 512 + 2 ** 20;

/** A store with that in its schema, as the loop takes it. */
export function channelStore<R extends ChannelRecord>(store: {
  readonly memory: Uint8Array;
  transaction<T>(work: () => T): T;
  layout(table: 'zlrChannels'): ChannelStore<R>['layout'];
  readonly root: {
    zlrChannels: ChannelStore<R>['table'];
    zlrListeners: ChannelStore<R>['listeners'];
    zlrPool: Buffer;
    zlrExtents: Buffer;
  };
}): ChannelStore<R> {
  const {zlrChannels, zlrListeners, zlrPool, zlrExtents} = store.root;
  return {
    memory: store.memory,
    transaction: work => store.transaction(work),
    table: zlrChannels,
    layout: store.layout('zlrChannels'),
    listeners: zlrListeners,
    pool: zlrPool,
    extents: zlrExtents,
  };
}
