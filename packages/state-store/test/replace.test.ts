// What replaces a value leaves nothing of it: whatever types it is wrapped in, a part that is left out is zero afterwards.
// Random types and random values, against a model that knows of no bytes. ZLR_SEED repeats a run.

import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import {type AnyType, openStore, struct, t as ty} from '../src/index.js';

/** A type, what it holds at first, and its values: what is written, beside what it then reads as. */
interface Kind {
  name: string;
  type: AnyType;
  zero: unknown;
  value: fc.Arbitrary<{write: unknown; reads: unknown}>;
}

const same = (value: fc.Arbitrary<unknown>) => value.map(write => ({write, reads: write}));

const leaves: Kind[] = [
  {name: 'u8', type: ty.u8, zero: 0, value: same(fc.integer({min: 0, max: 255}))},
  {name: 'i16', type: ty.i16, zero: 0, value: same(fc.integer({min: -32768, max: 32767}))},
  {name: 'u32', type: ty.u32, zero: 0, value: same(fc.nat(2 ** 31 - 1))},
  {name: 'f64', type: ty.f64, zero: 0, value: same(fc.double({noNaN: true}).map(x => x + 0))},
  {name: 'i64', type: ty.i64, zero: 0n, value: same(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n))},
  {name: 'bool', type: ty.bool, zero: false, value: same(fc.boolean())},
  {
    name: 'enum',
    type: ty.enum('toString', 'constructor'),
    zero: 'toString',
    value: same(fc.constantFrom('toString', 'constructor')),
  },
  {name: 'string', type: ty.string(), zero: '', value: same(fc.string({maxLength: 40}))},
  {
    name: 'string(9)',
    type: ty.string(9),
    zero: '',
    value: same(fc.string({unit: fc.constantFrom('a', 'b'), maxLength: 9})),
  },
  {name: 'bytes', type: ty.bytes(), zero: new Uint8Array(), value: same(fc.uint8Array({maxLength: 50}))},
  {
    name: 'bytes(3)',
    type: ty.bytes(3),
    zero: new Uint8Array(3),
    value: same(fc.uint8Array({minLength: 3, maxLength: 3})),
  },
  {name: 'timestamp', type: ty.timestamp, zero: new Date(0), value: same(fc.date({noInvalidDate: true}))},
];

const {kind, struct: structKind} = fc.letrec<{kind: Kind; struct: Kind}>(tie => ({
  kind: fc.oneof(
    {depthSize: 'small', withCrossShrink: true},
    fc.constantFrom(...leaves),
    tie('kind').map(optional),
    tie('struct'),
    fc.tuple(tie('kind'), fc.integer({min: 1, max: 3})).map(([of, length]) => array(of, length)),
    fc.array(tie('kind'), {minLength: 1, maxLength: 3}).map(union),
  ),
  struct: fc.array(tie('kind'), {minLength: 1, maxLength: 4}).map(structOf),
}));

function optional(of: Kind): Kind {
  const value = fc.option(of.value, {nil: {write: null, reads: null}});
  return {name: `${of.name}?`, type: of.type.optional(), zero: null, value};
}

function array(of: Kind, length: number): Kind {
  return {
    name: `${of.name}[${length}]`,
    type: ty.array(of.type, length),
    zero: Array.from({length}, () => of.zero),
    value: fc
      .array(of.value, {minLength: length, maxLength: length})
      .map(values => ({write: values.map(v => v.write), reads: values.map(v => v.reads)})),
  };
}

const TAGS = ['valueOf', 'b', 'c'];
function union(variants: Kind[]): Kind {
  return {
    name: `union(${variants.map(v => v.name)})`,
    type: ty.union(Object.fromEntries(variants.map((v, i) => [TAGS[i], v.type]))),
    zero: {tag: TAGS[0], value: variants[0]!.zero},
    value: fc.oneof(
      ...variants.map((v, i) =>
        v.value.map(({write, reads}) => ({
          write: {tag: TAGS[i], value: write},
          reads: {tag: TAGS[i], value: reads},
        })),
      ),
    ),
  };
}

const FIELD_NAMES = ['next', 'value', 'length', 'd'];
function structOf(fields: Kind[]): Kind {
  const named = fields.map((field, i) => [FIELD_NAMES[i]!, field] as const);
  return {
    name: `{${fields.map(f => f.name)}}`,
    type: struct('S', Object.fromEntries(named.map(([name, field]) => [name, field.type]))),
    zero: Object.fromEntries(named.map(([name, field]) => [name, field.zero])),
    value: fc.tuple(...named.map(([, field]) => fc.option(field.value, {nil: undefined}))).map(values => ({
      write: Object.fromEntries(named.flatMap(([name], i) => (values[i] ? [[name, values[i].write]] : []))),
      reads: Object.fromEntries(
        named.map(([name, field], i) => [name, values[i] ? values[i].reads : field.zero]),
      ),
    })),
  };
}

test('what replaces a value leaves nothing of it', async t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  t.log(`ZLR_SEED=${seed}`);
  const plan = fc
    .tuple(kind, structKind)
    .chain(([one, row]) =>
      fc.tuple(
        fc.constant(one),
        fc.constant(row),
        fc.array(fc.tuple(fc.integer({min: 0, max: 9}), one.value, row.value), {minLength: 2, maxLength: 12}),
      ),
    );
  let run = 0;
  await fc.assert(
    fc.asyncProperty(plan, async ([one, row, steps]) => {
      const Holder = struct('Holder', {before: ty.u8, it: one.type, after: ty.string()});
      const store = await openStore({
        name: `replace-${run++}`,
        backend: 'memory',
        size: '1MB',
        schema: {
          it: one.type,
          rows: ty.table(Holder),
          map: ty.map(ty.string(), one.type),
          rowMap: ty.map(ty.u32, row.type),
          sorted: ty.sorted(ty.u32, row.type),
          vector: ty.vector(row.type),
          ring: ty.ring(row.type, 2),
          list: ty.list(row.type),
        },
      });
      // biome-ignore lint/suspicious/noExplicitAny: the types are random
      const root = store.root as any;
      const plain = () => store.toJSON() as Record<string, unknown>;
      try {
        const holder = root.rows.insert({after: 'x'});
        root.vector.push(row.zero);
        const ring: unknown[] = [];
        for (const [step, a, b] of steps) {
          switch (step) {
            case 0:
              root.it = a.write;
              assert.deepStrictEqual(plain()['it'], a.reads);
              break;
            case 1:
              holder.it = a.write;
              assert.deepStrictEqual(holder.toJSON(), {before: 0, it: a.reads, after: 'x'});
              break;
            case 2:
              holder.$set({it: a.write});
              assert.deepStrictEqual(holder.toJSON(), {before: 0, it: a.reads, after: 'x'});
              break;
            case 3:
              root.map.set('toString', a.write);
              assert.deepStrictEqual(plain()['map'], [['toString', a.reads]]);
              break;
            case 4:
              root.rowMap.set(7, b.write);
              assert.deepStrictEqual(plain()['rowMap'], [[7, b.reads]]);
              break;
            case 5:
              root.sorted.set(7, b.write);
              assert.deepStrictEqual(plain()['sorted'], [[7, b.reads]]);
              break;
            case 6:
              root.vector.set(0, b.write);
              assert.deepStrictEqual(plain()['vector'], [b.reads]);
              break;
            case 7:
              root.ring.push(b.write);
              ring.push(b.reads);
              assert.deepStrictEqual(plain()['ring'], ring.slice(-2));
              break;
            case 8: {
              // In the place of one that is gone.
              root.list.push(b.write);
              assert.deepStrictEqual(plain()['list'], [b.reads]);
              assert.deepStrictEqual(root.list.shift(), b.reads);
              break;
            }
            case 9: {
              const undone = plain();
              assert.throws(() =>
                store.transaction(() => {
                  holder.it = a.write;
                  root.vector.set(0, b.write);
                  throw new Error('undone');
                }),
              );
              assert.deepStrictEqual(plain(), undone);
            }
          }
          const {ok, problems} = store.check();
          assert(ok, problems.join('; '));
        }
      } finally {
        store.destroy();
      }
    }),
    {seed, numRuns: Number(process.env['ZLR_RUNS'] ?? 150)},
  );
  t.pass();
});
