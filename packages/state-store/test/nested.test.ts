// Transactions inside transactions, each of which may fail, in a log that overflows now and then: what failed is as if it
// had never begun, and a kill at any moment is as if the outermost had not.
import test from 'ava';
import fc from 'fast-check';
import {openStore, struct, t as ty} from '../src/index.js';
import {Memory} from '../src/segment/memory.js';
import {bytesOf, openBytes} from './helpers/recorder.js';
import {freshName} from './helpers/stores.js';

const SIZE = 192 * 1024;
const Part = struct('Part', {x: ty.u32, name: ty.string()});
const Thing = struct('Thing', {
  n: ty.u32,
  small: ty.u8,
  name: ty.string(),
  label: ty.string().optional(),
  part: Part,
  maybe: Part.optional(),
  parts: ty.array(Part, 2),
  any: ty.union({none: ty.u8, part: Part, text: ty.string()}),
  to: ty.ref(() => Part),
});
const schema = {
  things: ty.table(Thing),
  parts: ty.table(Part),
  byName: ty.map(ty.string(), Thing),
  counts: ty.map(ty.u32, ty.u32),
  queue: ty.list(Thing),
  order: ty.sorted(ty.u32, Thing),
  row: ty.vector(Thing),
  last: ty.ring(Thing, 3),
  bytes: ty.vector(ty.u8),
  n: ty.uint,
  one: Thing,
};

interface Do {
  what: number;
  a: number;
  b: number;
}
interface Nest {
  inside: Step[];
  fails: boolean;
  caught: boolean;
}
type Step = Do | Nest;

const {steps} = fc.letrec<{steps: Step[]; step: Step; nest: Nest}>(tie => ({
  step: fc.oneof(
    {maxDepth: 4},
    {weight: 6, arbitrary: fc.record({what: fc.nat(30), a: fc.nat(9), b: fc.nat(1200)})},
    {weight: 1, arbitrary: tie('nest')},
  ),
  steps: fc.array(tie('step'), {maxLength: 14}),
  nest: fc.record({inside: tie('steps'), fails: fc.boolean(), caught: fc.boolean()}),
}));

class Failed extends Error {}

for (const maxSize of [undefined, '64KB', '256KB'])
  test(`whatever is nested, and whatever of it fails${maxSize ? `, in a store that has ${maxSize}` : ''}`, async t => {
    let failed = 0;
    let overflowed = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(steps, {minLength: 1, maxLength: 8}), async transactions => {
        const bytes = new Uint8Array(SIZE);
        const store = maxSize
          ? await openStore({
              name: freshName(),
              backend: 'memory',
              size: '64KB',
              logSize: '16KB',
              maxSize,
              schema,
            })
          : openBytes(bytes, schema, new Memory(bytes), '4KB');
        const full = maxSize === '64KB' ? ['ERR_FULL'] : [];
        const {root} = store;
        const {things, parts, byName, counts, queue, order, row, last} = root;
        const content = () => JSON.stringify(store);
        const nth = <V>(from: Iterable<V>, n: number): V | undefined => {
          const all = [...from];
          return all[n % Math.max(all.length, 1)];
        };
        const text = (n: number) => String.fromCharCode(97 + (n % 26)).repeat(n);
        const init = (n: number) => ({
          n,
          name: text(n),
          part: {x: n, name: text(n % 50)},
          label: n % 2 ? text(n) : null,
        });
        const act = ({what, a, b}: Do): void => {
          const thing = nth(things, a) ?? root.one;
          const kinds: (() => unknown)[] = [
            () => things.insert(init(b)),
            () => things.remove(thing as never),
            () => byName.set(text(a + 25), init(b)),
            () => byName.delete(text(a + 25)),
            () => counts.set(a, b),
            () => counts.delete(a),
            () => queue.push(init(b)),
            () => queue.unshift(init(b)),
            () => queue.shift(),
            () => queue.remove(nth(queue.entries(), a)?.[0] ?? -1),
            () => order.set(a, init(b)),
            () => order.delete(a),
            () => row.push(init(b), ...(row.length ? [row.at(0)!] : [])),
            () => row.pop(),
            () => last.push(last.length ? last.at(0)! : init(b)),
            () => (root.n += b),
            () => (thing.name = text(b)),
            () => (thing.small = a),
            () => thing.$set({label: b % 3 ? text(b) : null, maybe: b % 2 ? {x: b, name: text(b)} : null}),
            () =>
              thing.$set({
                any: b % 2 ? {tag: 'part', value: {x: b, name: text(b)}} : {tag: 'text', value: text(b)},
              }),
            () => Object.assign(thing, {parts: [...thing.parts].reverse()}),
            () => thing.parts.set(a % 2, {x: b, name: text(b)}),
            () => (thing.part.name = text(b)),
            () => Object.assign(thing, {to: b % 3 ? parts.insert({x: b}) : (nth(parts, a) ?? null)}),
            () => parts.remove(nth(parts, b) ?? -1),
            () => byName.set(text(a + 25), thing),
            () => order.set(a, nth(queue, b) ?? {}),
            () => counts.clear(),
            () => things.insert({n: -1}),
            () => thing.$set({name: text(b), parts: [{x: 1}, {x: -1}]}),
            () => root.bytes.push(...Array.from({length: b}, (_, i) => i & 255)),
          ];
          try {
            kinds[what]!();
          } catch (error) {
            const {code} = error as {code?: string};
            if (!['ERR_VALUE', 'ERR_TRANSACTION', ...full].includes(code!)) throw error;
            if (code === 'ERR_TRANSACTION') overflowed++;
          }
        };
        const run = (all: Step[]): void => {
          for (const step of all) {
            if ('what' in step) {
              const before = step.what >= 28 && step.what < 30 ? content() : undefined;
              act(step);
              if (before !== undefined) t.is(content(), before, 'what is refused leaves nothing');
              continue;
            }
            const before = content();
            try {
              store.transaction(() => {
                run(step.inside);
                if (step.fails) throw new Failed();
              });
              if (step.fails) t.fail();
            } catch (error) {
              if (!(error instanceof Failed)) throw error;
              failed++;
              t.is(content(), before);
              if (!step.caught) throw error;
            }
          }
        };
        for (const transaction of transactions) {
          const before = content();
          let inTheMidst: Uint8Array | undefined;
          try {
            store.transaction(() => {
              run(transaction);
              if (!maxSize) inTheMidst = bytesOf(bytes);
            });
          } catch (error) {
            if (!(error instanceof Failed) && (error as {code?: string}).code !== 'ERR_TRANSACTION')
              throw error;
            t.is(content(), before);
          }
          t.deepEqual(store.check().problems, []);
          if (inTheMidst === undefined) continue;
          const killed = openBytes(inTheMidst, schema);
          t.is(JSON.stringify(killed), before);
          t.deepEqual(killed.check().problems, []);
          killed.close();
        }
        store.destroy();
      }),
      {numRuns: Number(process.env['ZLR_NESTED'] ?? 60)},
    );
    t.true(failed > 0 && overflowed > 0);
    t.log(`${failed} inner ones failed, ${overflowed} operations overflowed the log`);
  });

test('a transaction that goes on after its log overflowed leaves a log that can be read', t => {
  const schema = {parts: ty.table(Part), n: ty.uint, m: ty.uint};
  let caught = 0;
  // Each store takes one entry, for none is to the cell of the one before; the log has 256.
  for (let stores = 240; stores <= 256; stores++) {
    const bytes = new Uint8Array(SIZE);
    const store = openBytes(bytes, schema, new Memory(bytes), '4KB');
    const {parts} = store.root;
    const part = parts.insert({x: 1});
    store.transaction(() => {
      for (let i = 0; i < stores; i++) {
        if (i % 2 === 0) store.root.n = i;
        else store.root.m = i;
      }
      try {
        parts.remove(part);
      } catch {
        caught++;
      }
    });
    const killed = openBytes(bytesOf(bytes), schema);
    t.is(JSON.stringify(killed), JSON.stringify(store), `${stores} stores`);
    t.is(killed.info().recovered, 0);
    t.deepEqual(killed.check().problems, []);
    t.is(Math.max(store.root.n, store.root.m), stores - 1);
    killed.close();
    store.close();
  }
  t.true(caught > 0 && caught < 17);
});
