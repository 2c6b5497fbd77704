// The pool hands no extent to two holders, whatever the order of taking and giving: two streams in one extent would be the
// worst that can happen, each would receive the other's bytes.
import {Extents, LARGE, SMALL} from '@zlr/hread';
import test from 'ava';
import fc from 'fast-check';
import {bytesFor} from '../dist/channels/extents.js';

function make(large: number, small: number): Extents {
  const bytes = bytesFor({large, small});
  return new Extents(Buffer.alloc(bytes.pool), Buffer.alloc(bytes.extents));
}

test('an extent has one holder at a time, none is lost, and no two share a byte', t => {
  const commands = fc.array(fc.nat({max: 1000}), {maxLength: 200});
  const kept = fc.uniqueArray(fc.nat({max: 7}));
  fc.assert(
    fc.property(commands, kept, (choices, except) => {
      const extents = make(3, 5);
      extents.free(new Set(except));
      const taken: number[] = [...except];
      for (const choice of choices) {
        if (choice % 3 < 2) {
          const extent = extents.take(choice % 3 === 0);
          if (extent < 0) t.is(extents.freeLarge, 0);
          else {
            t.true(extent < extents.count);
            t.false(taken.includes(extent));
            taken.push(extent);
          }
        } else if (taken.length > 0) {
          extents.give(taken.splice(choice % taken.length, 1)[0]!);
        }
        t.is(extents.freeCount + taken.length, extents.count);
      }
    }),
    {verbose: true},
  );
  const extents = make(3, 5);
  let end = 0;
  for (let extent = 0; extent < extents.count; extent++) {
    t.is(extents.offsetOf(extent), end);
    end += extents.sizeOf(extent);
  }
  t.is(end, extents.memory.length);
});

test('the lowest are taken first, so that few pages are touched; a large one stands in for a small one', t => {
  const extents = make(3, 2);
  extents.free(new Set([1]));
  t.deepEqual(
    [extents.take(false), extents.take(true), extents.take(true), extents.take(true), extents.take(true)],
    [0, 3, 4, 2, -1],
  );
});

test('one extent too many given back is a bug of the caller', t => {
  const extents = make(2, 2);
  extents.free(new Set());
  t.throws(() => extents.give(0), {message: /given back twice/});
});

test('a pool that is not a whole number of extents is a bug of the caller', t => {
  t.throws(() => new Extents(Buffer.alloc(LARGE + SMALL + 1), Buffer.alloc(112)), {
    message: /whole number of extents/,
  });
});
