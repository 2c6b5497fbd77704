export {type Books, readBooks} from '@zlr/kernel-shim';
export {Channel, type ChannelRecord} from './channels/channel.js';
export {channelFields, channelStruct} from './channels/channel-record.js';
export {Extents, type FileRange, LARGE, SMALL} from './channels/extents.js';
export type {Inheritance} from './channels/inheritance.js';
export type {Span} from './channels/input.js';
export type {Piece} from './channels/output.js';
export {HreadError, type HreadErrorCode} from './errors.js';
export {HeldStream} from './held-stream.js';
export {KernelStream} from './kernel-stream.js';
export type {Address} from './reactor/listen.js';
export {ChannelLoop} from './reactor/loop.js';
export type {ChannelStore, ChannelTable, Limits, Protocol} from './reactor/protocol.js';
export type {RecoveryReport} from './reactor/recovery.js';
export {rehearse} from './reactor/rehearsal.js';
export {channelBytes, channelSchema, channelStore} from './reactor/schema.js';
export {
  type Capsule,
  type CapsuleHeader,
  capsuleFolder,
  keepCapsule,
  listCapsules,
  readCapsule,
} from './server/capsule.js';
export {type ClosedWhy, Connection} from './server/connection.js';
export {type Connections, createServer, type Server, type ServerOptions} from './server/server.js';
export type {Unit} from './server/unit.js';
