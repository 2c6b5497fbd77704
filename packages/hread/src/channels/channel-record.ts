import {struct, t} from '@zlr/state-store';

/*
 * The fields of kernel-shim/include/zlr/channel.h, in its order: native code reads and writes them in place. A test compares
 * the two. What each means, and who writes it, is drawn there.
 */
export const channelFields = {
  cookie: t.u64,
  consumed: t.uint,
  holdBase: t.uint,
  outBase: t.uint,
  fileOffset: t.uint,
  fileLength: t.uint,
  fd: t.i32,
  holdSlot: t.u32,
  outSlot: t.u32,
  outLength: t.u32,
  fileFd: t.i32,
  flags: t.u32,
} as const;

/** A bit of `flags`: the connection ends with the answer that is being sent. */
export const CLOSE_AFTER = 1;

/** A struct whose records are channels and carry your own fields behind the channel's. */
export const channelStruct = <const F extends Parameters<typeof struct>[1]>(fields: F) =>
  struct('Channel', {...channelFields, ...fields});
