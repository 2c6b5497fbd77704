// The pool of slots hands no slot to two holders, whatever the order of taking and giving: two streams in one slot
// would be the worst that can happen, each would receive the other's bytes.
import {Slots} from '@zlr/hread';
import test from 'ava';
import fc from 'fast-check';

const SIZE = 16;

test('a slot has one holder at a time, and none is lost', t => {
  const commands = fc.array(fc.nat({max: 1000}), {maxLength: 200});
  const kept = fc.uniqueArray(fc.nat({max: 7}));
  fc.assert(
    fc.property(commands, kept, (choices, except) => {
      const slots = new Slots(Buffer.alloc(8 * SIZE), SIZE);
      slots.free(new Set(except));
      const taken: number[] = [...except];
      for (const choice of choices) {
        if (choice % 2 === 0) {
          const slot = slots.take();
          if (slot < 0) t.is(taken.length, slots.count);
          else {
            t.true(slot < slots.count);
            t.false(taken.includes(slot));
            taken.push(slot);
          }
        } else if (taken.length > 0) {
          slots.give(taken.splice(choice % taken.length, 1)[0]!);
        }
        t.is(slots.freeCount + taken.length, slots.count);
      }
    }),
    {verbose: true},
  );
});

test('the lowest slots are taken first, so that few pages are touched', t => {
  const slots = new Slots(Buffer.alloc(4 * SIZE), SIZE);
  slots.free(new Set([1]));
  t.deepEqual([slots.take(), slots.take(), slots.take(), slots.take()], [0, 2, 3, -1]);
});

test('one slot too many given back is a bug of the caller', t => {
  const slots = new Slots(Buffer.alloc(2 * SIZE), SIZE);
  slots.free(new Set());
  t.throws(() => slots.give(0), {message: /given back twice/});
});

test('a pool that is not a whole number of slots is a bug of the caller', t => {
  t.throws(() => new Slots(Buffer.alloc(SIZE + 1), SIZE), {message: /whole number of slots/});
});
