import type {Books} from '@zlr/kernel-shim';
import {
  ALONE,
  ANSWER_CLOSES,
  ANSWERED_EARLY,
  Answered,
  ChunkState,
  Framing,
  OPAQUE,
  REQUEST_IDEMPOTENT,
  SPAN_WHOLE,
  UNHELD,
} from './exchange-record.js';

/** Which requests may be run again after a fault. */
export interface Policy {
  /** 'idempotent': those that a proxy would try again (RFC 9110, 9.2.2), and whatever carries an Idempotency-Key. */
  readonly rerun: 'idempotent' | 'all';
  /**
   * How often one request is run again, the last time with no other beside it: if the process ends then, too, it is what ends each
   * generation.
   */
  readonly attempts: number;
}

/** What the record of a connection says, of the two progresses the one that counts. */
export interface Recorded {
  readonly inBase: number;
  readonly inSlot: number;
  readonly attempts: number;
  readonly flags: number;
  readonly now: {
    readonly inDone: number;
    readonly outStart: number;
    readonly outPos: number;
    readonly outBase: number;
    readonly outSlot: number;
    readonly bodyTotal: number;
    readonly bodyDone: number;
    readonly span: number;
    readonly framing: number;
    readonly chunkState: number;
    readonly chunkDigits: number;
    readonly flags: number;
  };
}

/** A request that is held and not answered wholly. */
export interface HeldRequest {
  /** 0: its end has not come; -1: it cannot be framed. */
  readonly end: number;
  readonly flags: number;
}

export type AnsweredHow = (typeof Answered)[keyof typeof Answered];

/** What becomes of a connection that a former generation left. */
export type Verdict =
  /** Accepted in the last instant, not a byte of it was read. */
  | {act: 'fresh'}
  /** Nothing is to be run; it waits for its next request. */
  | {act: 'idle'; answered: AnsweredHow}
  /**
   * What is held, from the byte `from` on, is given to the program again. `counts`: a request had been begun; `resumes`: the
   * client has a part of its answer; `alone`: it is the last time.
   */
  | {
      act: 'rerun';
      answered: AnsweredHow;
      from: number;
      counts: boolean;
      resumes: boolean;
      alone: boolean;
    }
  /** It ended the process alone: set aside, and answered 500 where the client has nothing of an answer yet. */
  | {act: 'poison'; begun: boolean; why: string}
  /** Answered 503, and ended. */
  | {act: 'refuse'; why: string}
  /** What is owed is sent, and it ends. */
  | {act: 'finish'; why: string}
  /** Ended as it stands. */
  | {act: 'close'; why: string}
  | {act: 'reset'; why: string};

export interface Slots {
  readonly size: number;
  readonly count: number;
}

/** Nothing inherited is believed: what the record says must be possible, and agree with the kernel. */
function misfit({inBase, inSlot, flags, now}: Recorded, books: Books, slots: Slots): string | undefined {
  if (books.written > now.outPos + now.span) return 'more was sent than was produced';
  if (books.read < now.inDone) return 'more was answered than was read';
  if (now.outStart > now.outPos) return 'an answer begins beyond its end';
  if (books.written < now.outPos) {
    const held = now.outSlot > 0 && now.outSlot <= slots.count && now.outBase <= books.written;
    if (!held || now.outPos - now.outBase > slots.size) return 'what was produced is not held';
  }
  if (books.read > now.inDone && (flags & UNHELD) === 0) {
    const held = inSlot > 0 && inSlot <= slots.count && inBase <= now.inDone;
    if (!held || books.read - inBase > slots.size) return 'what was read is not held';
  }
  return undefined;
}

/** The client stands where the new answer can go on. */
function canGoOn({framing, chunkState, chunkDigits}: Recorded['now']): boolean {
  if (framing !== Framing.Chunked) return true;
  const {Size, Data, Cr, Lf} = ChunkState;
  return (chunkState === Size && chunkDigits === 0) || [Data, Cr, Lf].some(each => each === chunkState);
}

/**
 * Decides from what was recorded, what the kernel knows, and which requests are held. Pure.
 *
 * @param requests gives the requests in [inDone, read), asked only when these are held
 */
export function judge(
  books: Books,
  recorded: Recorded | undefined,
  slots: Slots,
  policy: Policy,
  requests: () => readonly HeldRequest[],
): Verdict {
  if (books.dead) return {act: 'close', why: 'it was reset'};
  if (!recorded) {
    return books.read === 0 && books.written === 0
      ? {act: 'fresh'}
      : {act: 'close', why: 'no record of it is kept'};
  }
  const {now, flags, attempts} = recorded;
  if (flags & OPAQUE) return {act: 'close', why: 'its bytes were not HTTP/1.1, or more than is held'};
  const wrong = misfit(recorded, books, slots);
  if (wrong) return {act: 'reset', why: wrong};
  const inAnswer = now.framing !== Framing.None;
  // Given to the kernel at once, with no digest of it: whole, or nothing that another answer could be compared with.
  const isCut = (now.flags & SPAN_WHOLE) !== 0 && books.written > now.outPos;
  const isWhole = isCut && books.written === now.outPos + (now.bodyTotal - now.bodyDone);
  if (isCut && !isWhole) return {act: 'reset', why: 'a large answer was cut while the kernel took it'};
  if ((!inAnswer || isWhole) && now.flags & ANSWER_CLOSES)
    return {act: 'finish', why: 'its last answer is complete'};
  if (now.flags & ANSWERED_EARLY)
    return {act: 'finish', why: 'it was answered before all of the request had come'};
  if (books.read === now.inDone) {
    if (inAnswer) return {act: 'close', why: 'the answer belongs to no request'};
    return books.peerEnded && books.unread === 0
      ? {act: 'finish', why: 'the peer has ended'}
      : {act: 'idle', answered: Answered.Stands};
  }

  const isBegun = inAnswer && !isWhole && books.written > now.outStart;
  const refuse = (why: string): Verdict => ({act: isBegun ? 'finish' : 'refuse', why});
  if (flags & UNHELD)
    return isWhole
      ? {act: 'finish', why: 'it is answered'}
      : refuse('the request is larger than what is held');
  let held = requests();
  if (held.some(request => request.end < 0)) return {act: 'close', why: 'its requests cannot be framed'};
  let from = 0;
  if (isWhole) {
    from = held[0]?.end ?? 0;
    if (from === 0) return {act: 'finish', why: 'it was answered before all of the request had come'};
    if (from === books.read - now.inDone) return {act: 'idle', answered: Answered.Whole};
    held = held.slice(1);
  }
  if (policy.rerun === 'idempotent' && held.some(request => (request.flags & REQUEST_IDEMPOTENT) === 0))
    return isWhole
      ? {act: 'finish', why: 'what follows may not be run again'}
      : refuse('the request may not be run again (--rerun idempotent)');
  const tries = attempts % ALONE;
  if (attempts >= ALONE && !isWhole)
    return {act: 'poison', begun: isBegun, why: 'the process ended when it worked on this request alone'};
  if (tries >= policy.attempts && !isWhole) return refuse(`the request was run again ${tries} times`);
  if (isBegun && !canGoOn(now)) return {act: 'reset', why: 'its answer was cut where no other can go on'};
  const answered = isWhole ? Answered.Whole : inAnswer && !isBegun ? Answered.Anew : Answered.Stands;
  const counts = held.length > 0;
  const alone = counts && !isWhole && tries + 1 >= policy.attempts;
  return {act: 'rerun', answered, from, counts, resumes: isBegun, alone};
}
