import {struct, t} from '@zlr/state-store';

/*
 * The fields of kernel-shim/include/zlr/exchange.h, in its order: native code writes them in place, while the program runs.
 * A test compares the two. What each means is drawn there.
 */
export const progressFields = {
  inDone: t.uint,
  outStart: t.uint,
  outPos: t.uint,
  outBase: t.uint,
  bodyTotal: t.uint,
  bodyDone: t.uint,
  chunkLeft: t.uint,
  digest: t.u64,
  span: t.u32,
  outSlot: t.u32,
  status: t.u16,
  interim: t.u16,
  framing: t.u8,
  chunkState: t.u8,
  chunkDigits: t.u8,
  flags: t.u8,
} as const;

export const exchangeFields = {
  cookie: t.u64,
  inBase: t.uint,
  inSlot: t.u32,
  which: t.u32,
  attempts: t.u32,
  flags: t.u32,
  progress: t.array(struct('Progress', progressFields), 2),
} as const;

export const Exchange = struct('Exchange', exchangeFields);

/** Of a record's `attempts`: the last one was made with no other request beside it. */
export const ALONE = 2 ** 31;
/** Of a record's `flags`. */
export const OPAQUE = 1;
export const UNHELD = 2;
/** Of a progress' `flags`. */
export const ANSWER_CLOSES = 1;
export const ANSWERED_EARLY = 2;
export const SPAN_WHOLE = 4;
/** Values of `framing`. */
export const Framing = {None: 0, Length: 1, Chunked: 2, UntilEnd: 3} as const;
/** Values of `chunkState` at which an answer can be gone on with; native/exchange/chunks.h has them all. */
export const ChunkState = {Size: 0, Data: 3, Cr: 4, Lf: 5} as const;
/** What became of the answer in progress, as `exchangeResume` takes it; native/exchange/talk.h. */
export const Answered = {Stands: 0, Anew: 1, Whole: 2} as const;
/** Of a request's flags, as `exchangeScan` gives them; native/exchange/request.h. */
export const REQUEST_IDEMPOTENT = 2;
