import {struct, t} from '@zlr/state-store';

/*
 * The fields of kernel-shim/include/zlr/channel.h, in its order: native code reads and writes them in place. A test compares
 * the two. What each means, and who writes it, is drawn there.
 */
export const channelFields = {
  cookie: t.u64,
  consumed: t.uint,
  outEnd: t.uint,
  holdHead: t.u32,
  outHead: t.u32,
  fd: t.i32,
  version: t.u16,
  kind: t.u8,
  flags: t.u8,
} as const;

/** Of `version`. A record of another one is not understood. */
export const CHANNEL_VERSION = 2;

/** What a stream is, in `kind`. */
export const Kind = {Tcp: 1} as const;

/** Bits of `flags`. */
export const Flag = {
  /** The connection ends when its output is sent. */
  CloseAfter: 1,
  /** User code is at work on its input. */
  Working: 2,
  /** And on no other's. */
  Alone: 4,
  /** The protocol has heard of it. */
  Opened: 8,
} as const;

/** A struct whose records are channels and carry your own fields behind the channel's. */
export const channelStruct = <const F extends Parameters<typeof struct>[1]>(fields: F) =>
  struct('Channel', {...channelFields, ...fields});

/** The listening sockets of a server, by SO_COOKIE: whoever they accept is its own. */
export const listenerStruct = struct('Listener', {cookie: t.u64});
