export {type Books, readBooks} from './books.js';
export {type Answer, Channel, type ChannelRecord} from './channel.js';
export {CLOSE_AFTER, channelFields, channelStruct} from './channel-record.js';
export {HreadError, type HreadErrorCode} from './errors.js';
export {HeldStream} from './held-stream.js';
export type {Address} from './listen.js';
export {ChannelLoop, type ChannelStore, type ChannelTable, type Protocol, SLOT_SIZE} from './loop.js';
export type {RecoveryReport} from './recovery.js';
export {Slots} from './slots.js';
