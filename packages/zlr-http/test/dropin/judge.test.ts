/**
 * What becomes of a connection that a former generation left: each decision, from what was recorded, what the kernel knows
 * and what is held.
 */
import type {Books} from '@zlr/kernel-shim';
import test from 'ava';
import fc from 'fast-check';
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
} from '../../src/dropin/exchange-record.js';
import {type HeldRequest, judge, type Policy, type Recorded} from '../../src/dropin/judge.js';

const slots = {size: 65_536, count: 8};
const idempotent: Policy = {rerun: 'idempotent', attempts: 3};
const all: Policy = {rerun: 'all', attempts: 3};
const get: HeldRequest = {end: 100, flags: REQUEST_IDEMPOTENT};
const post: HeldRequest = {end: 100, flags: 0};

type Now = Recorded['now'];
const nothing: Now = {
  inDone: 0,
  outStart: 0,
  outPos: 0,
  outBase: 0,
  outSlot: 0,
  bodyTotal: 0,
  bodyDone: 0,
  span: 0,
  framing: Framing.None,
  chunkState: 0,
  chunkDigits: 0,
  flags: 0,
};
const books = (read: number, written: number, more: Partial<Books> = {}): Books => ({
  cookie: 1n,
  read,
  written,
  unread: 0,
  peerEnded: false,
  dead: false,
  ...more,
});
const recorded = (now: Partial<Now> = {}, more: Partial<Recorded> = {}): Recorded => ({
  inBase: 0,
  inSlot: 1,
  attempts: 0,
  flags: 0,
  now: {...nothing, ...now},
  ...more,
});
/** 1,000 of 5,000 bytes were produced behind 200 bytes of head, all from a slot. */
const half: Partial<Now> = {
  framing: Framing.Length,
  outPos: 1200,
  outSlot: 1,
  bodyTotal: 5000,
  bodyDone: 1000,
};
const decide = (b: Books, r: Recorded | undefined, policy = idempotent, held: HeldRequest[] = [get]) =>
  judge(b, r, slots, policy, () => held);

test('without a record: new if nothing was read or sent, else closed', t => {
  t.is(decide(books(0, 0), undefined).act, 'fresh');
  t.is(decide(books(0, 0, {unread: 50}), undefined).act, 'fresh');
  t.is(decide(books(1, 0), undefined).act, 'close');
  t.is(decide(books(0, 0, {dead: true}), undefined).act, 'close');
});

test('a request that is held and not answered is run again', t => {
  const rerun = {act: 'rerun', from: 0, counts: true} as const;
  t.like(decide(books(100, 0), recorded()), {...rerun, answered: Answered.Stands, resumes: false});
  t.like(decide(books(100, 0), recorded(half)), {...rerun, answered: Answered.Anew, resumes: false});
  t.like(decide(books(100, 1200), recorded(half)), {...rerun, answered: Answered.Stands, resumes: true});
  t.like(
    decide(books(50, 0), recorded(), idempotent, []),
    {act: 'rerun', counts: false},
    'half a head was read',
  );
});

test('what may not be run again is refused where nothing was sent, else ended', t => {
  t.is(decide(books(100, 0), recorded(), idempotent, [post]).act, 'refuse');
  t.is(decide(books(100, 0), recorded(half), idempotent, [post]).act, 'refuse');
  t.is(decide(books(100, 1), recorded(half), idempotent, [post]).act, 'finish');
  t.is(decide(books(100, 0), recorded(), all, [post]).act, 'rerun');
  t.is(
    decide(books(200, 0), recorded(), idempotent, [get, {...post, end: 200}]).act,
    'refuse',
    'pipelined behind',
  );
  t.is(decide(books(100, 0), recorded({}, {attempts: 2})).act, 'rerun');
  t.like(decide(books(100, 0), recorded({}, {attempts: 1})), {act: 'rerun', alone: false});
  t.like(decide(books(100, 0), recorded({}, {attempts: 2})), {act: 'rerun', alone: true});
  t.is(
    decide(books(100, 0), recorded({}, {attempts: 3})).act,
    'refuse',
    'the last one was not alone after all',
  );
  t.like(decide(books(100, 0), recorded({}, {attempts: ALONE + 3})), {act: 'poison', begun: false});
  t.is(decide(books(100, 0), recorded({}, {flags: UNHELD})).act, 'refuse');
  t.is(decide(books(100, 1200), recorded(half, {flags: UNHELD})).act, 'finish');
});

test('with nothing to run it is idle, or ends', t => {
  const answered = {inDone: 100, outStart: 1200, outPos: 1200};
  t.is(decide(books(100, 1200), recorded(answered)).act, 'idle');
  t.is(decide(books(100, 700), recorded({...answered, outSlot: 2, outBase: 0})).act, 'idle', 'some is owed');
  t.is(decide(books(100, 1200), recorded({...answered, flags: ANSWER_CLOSES})).act, 'finish');
  t.is(decide(books(150, 1200), recorded({...answered, flags: ANSWERED_EARLY})).act, 'finish');
  t.is(decide(books(100, 1200, {peerEnded: true}), recorded(answered)).act, 'finish');
  t.is(decide(books(100, 1200, {peerEnded: true, unread: 9}), recorded(answered)).act, 'idle');
  t.is(decide(books(100, 1200), recorded(answered, {flags: OPAQUE})).act, 'close');
  t.is(decide(books(100, 0), recorded(), all, [{end: -1, flags: 0}]).act, 'close');
});

test('an answer is gone on with only where another can begin', t => {
  const chunked = (chunkState: number, chunkDigits = 0) =>
    decide(books(100, 1200), recorded({...half, framing: Framing.Chunked, chunkState, chunkDigits})).act;
  for (const state of Object.values(ChunkState)) t.is(chunked(state), 'rerun');
  t.is(chunked(ChunkState.Size, 2), 'reset', 'in the digits of a size');
  for (const state of [1, 2, 6, 7, 8, 9]) t.is(chunked(state), 'reset');
});

test('a large write is whole, not begun, or cut', t => {
  const large = recorded({...half, outSlot: 0, span: 4000, flags: SPAN_WHOLE});
  t.deepEqual(decide(books(100, 5200), large), {act: 'idle', answered: Answered.Whole});
  t.like(decide(books(180, 5200), large, idempotent, [get, {...get, end: 180}]), {
    act: 'rerun',
    answered: Answered.Whole,
    from: 100,
  });
  t.is(decide(books(100, 5199), large).act, 'reset');
  t.like(decide(books(100, 1200), large), {act: 'rerun', answered: Answered.Stands});
  t.is(decide(books(180, 5200), large, idempotent, [get, {...post, end: 180}]).act, 'finish');
});

test('a record that cannot be is never gone on with', t => {
  for (const [why, b, now, more] of [
    ['more sent than produced', books(100, 1201), half, {}],
    ['more answered than read', books(99, 0), {inDone: 100}, {}],
    ['produced, not held', books(100, 0), {...half, outSlot: 0}, {}],
    ['produced, held elsewhere', books(100, 0), {...half, outSlot: 9}, {}],
    ['produced, more than a slot', books(100, 0), {...half, outPos: 65_537}, {}],
    ['produced, the slot begins behind it', books(100, 0), {...half, outBase: 1}, {}],
    ['read, not held', books(100, 0), {}, {inSlot: 0}],
    ['read, held elsewhere', books(100, 0), {}, {inSlot: 9}],
    ['read, the slot begins behind it', books(100, 0), {}, {inBase: 1}],
    ['read, more than a slot', books(65_537, 0), {}, {}],
  ] as const)
    t.is(decide(b, recorded(now, more)).act, 'reset', why);
});

test('whatever a record says, what is given to the program or sent lies in its slots', t => {
  const position = fc.oneof(fc.nat(200_000), fc.constantFrom(0, 65_535, 65_536, 2 ** 53 - 1));
  const small = fc.nat(12);
  const anyNow: fc.Arbitrary<Now> = fc.record({
    inDone: position,
    outStart: position,
    outPos: position,
    outBase: position,
    outSlot: small,
    bodyTotal: position,
    bodyDone: position,
    span: position,
    framing: fc.nat(3),
    chunkState: small,
    chunkDigits: fc.nat(2),
    flags: fc.nat(7),
  });
  fc.assert(
    fc.property(
      anyNow,
      position,
      small,
      fc.nat(3),
      position,
      position,
      (now, inBase, inSlot, flags, read, written) => {
        let asked = false;
        const verdict = judge(
          books(read, written),
          {inBase, inSlot, attempts: 0, flags, now},
          slots,
          all,
          () => {
            asked = true;
            return [get];
          },
        );
        if (asked) t.true(inSlot >= 1 && inSlot <= 8 && inBase <= now.inDone && read - inBase <= slots.size);
        if (verdict.act === 'close' || verdict.act === 'reset') return;
        t.true(written <= now.outPos + now.span && read >= now.inDone);
        if (written < now.outPos) t.true(now.outSlot >= 1 && now.outSlot <= 8 && now.outBase <= written);
      },
    ),
    {numRuns: 20_000},
  );
});
