// Keys that somebody chose to collide: a map finds out, hashes with a secret from then on, and is quick again.
import test from 'ava';
import fc from 'fast-check';
import {openStore, readStore, repairStore, t as ty} from '../src/index.js';
import {bytesOf, openBytes, Recorder} from './helpers/recorder.js';
import {BACKENDS, fresh, freshName, pathOf} from './helpers/stores.js';

const LONGEST_PROBE = 256;

/**
 * Strings of one length with the same hash: in a block of eight units the highest bit of the fourth unit changes the bits 31
 * and 16 of what is hashed so far, and the last two units change them back.
 */
function colliding(count: number): string[] {
  const blocks = Math.ceil(Math.log2(count));
  return Array.from({length: count}, (_, i) =>
    Array.from({length: blocks}, (_, block) => ((i >> block) & 1 ? 'aaa\xe1aa`\xe1' : 'aaaaaaaa')).join(''),
  );
}

/** What docs/state-store/format.md says of an integer below 2^32 and a map without a secret. */
function quickHash(key: number): number {
  const h = Math.imul(key, 0x9e3779b1);
  const mixed = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

/** Whose places in any index of up to 4,096 are the same. */
function collidingIntegers(count: number): number[] {
  const found: number[] = [];
  for (let key = 0; found.length < count; key++) if ((quickHash(key) & 4095) === 7) found.push(key);
  return found;
}

interface Index {
  secret: number;
  /** Places from where the longest search begins to where it ends. */
  longest: number;
}

function indexOf(map: unknown): Index {
  const {engine, word} = (map as {index: {engine: {memory: {u32: Uint32Array}}; word: number}}).index;
  const {u32} = engine.memory;
  const [index, mask] = [u32[word]! * 2, u32[word + 1]!];
  let longest = 0;
  for (let place = 0; place <= mask; place++) {
    if (u32[index + place * 2 + 1] === 0) continue;
    longest = Math.max(longest, (place - u32[index + place * 2]!) & mask);
  }
  return {secret: u32[word + 3]!, longest};
}

const schema = {
  texts: ty.map(ty.string(), ty.u32),
  bytes: ty.map(ty.bytes(), ty.u32),
  integers: ty.map(ty.u32, ty.string()),
};

for (const backend of BACKENDS)
  test(`${backend}: keys that collide are spread by a secret, and found by whoever opens the store`, async t => {
    const [name, count] = [freshName(), 2000];
    const where = {name, backend, ...pathOf(name, backend), schema, size: '4MB'} as const;
    const store = await fresh(t, backend, schema, where);
    const {texts, bytes, integers} = store.root;
    const [strings, numbers] = [colliding(count), collidingIntegers(count)];
    const latin1 = (text: string) => Buffer.from(text, 'latin1');
    for (let i = 0; i < count; i++) {
      texts.set(strings[i]!, i);
      bytes.set(latin1(strings[i]!), i);
      integers.set(numbers[i]!, strings[i]!);
    }
    for (const map of [texts, bytes, integers]) {
      const {secret, longest} = indexOf(map);
      t.not(secret, 0);
      t.true(longest < LONGEST_PROBE / 2, `${longest}`); // by chance once in 10^7 runs
    }
    t.not(indexOf(texts).secret, indexOf(bytes).secret);
    for (let i = 0; i < count; i += 3) t.true(texts.delete(strings[i]!) && integers.delete(numbers[i]!));
    const whole = ({root}: {root: typeof store.root}) => {
      const wrong = strings.filter((text, i) => {
        const gone = i % 3 === 0;
        return (
          root.texts.get(text) !== (gone ? undefined : i) ||
          root.integers.get(numbers[i]!) !== (gone ? undefined : text) ||
          root.bytes.get(latin1(text)) !== i
        );
      });
      t.deepEqual(wrong, []);
      t.false(root.texts.has('a'));
      t.is(root.texts.size, [...root.texts].length);
    };
    whole(store);
    t.deepEqual(store.check().problems, []);
    if (backend === 'memory') return;
    const reader = await readStore(where);
    whole(reader as unknown as typeof store);
    reader.close();
    store.close();
    const compacted = await openStore({...where, compact: true});
    whole(compacted);
    t.deepEqual(compacted.check().problems, []);
    compacted.destroy();
  });

test('a map whose keys do not collide keeps the quick hash', async t => {
  const store = await fresh(t, 'memory', schema, {size: '16MB'});
  for (let i = 0; i < 50_000; i++) store.root.texts.set(`key ${i}`, i);
  const {secret, longest} = indexOf(store.root.texts);
  t.is(secret, 0);
  t.true(longest < LONGEST_PROBE / 2, `${longest}`);
});

test('what is undone takes the secret with it', async t => {
  const store = await fresh(t, 'memory', schema);
  const {texts} = store.root;
  const keys = colliding(600);
  for (const [i, key] of keys.slice(0, 200).entries()) texts.set(key, i);
  t.throws(
    () =>
      store.transaction(() => {
        for (const [i, key] of keys.entries()) texts.set(key, i);
        t.not(indexOf(texts).secret, 0);
        throw new Error('back');
      }),
    {message: 'back'},
  );
  t.is(indexOf(texts).secret, 0);
  t.is(texts.size, 200);
  for (const [i, key] of keys.entries()) t.is(texts.get(key), i < 200 ? i : undefined);
  t.deepEqual(store.check().problems, []);
});

test('a flooded map does what a JS Map does', async t => {
  const keys = colliding(700);
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({key: fc.nat(keys.length - 1), value: fc.nat(), remove: fc.boolean()}), {
        minLength: 100,
        maxLength: 300,
      }),
      async steps => {
        const store = await openStore({name: freshName(), backend: 'memory', size: '1MB', schema});
        const {texts} = store.root;
        const model = new Map<string, number>();
        for (const [i, key] of keys.slice(0, 400).entries()) {
          texts.set(key, i);
          model.set(key, i);
        }
        for (const {key, value, remove} of steps) {
          const name = keys[key]!;
          if (remove) t.is(texts.delete(name), model.delete(name));
          else {
            texts.set(name, value % 2 ** 32);
            model.set(name, value % 2 ** 32);
          }
          t.is(texts.get(name), model.get(name));
        }
        t.deepEqual(new Map(texts), new Map([...texts.keys()].map(key => [key, model.get(key)!])));
        t.is(texts.size, model.size);
        t.deepEqual(store.check().problems, []);
        store.destroy();
      },
    ),
    {numRuns: 20},
  );
});

test('the change to a secret is all or nothing, after whichever store it is cut off', t => {
  const keys = colliding(LONGEST_PROBE + 2);
  const recorder = new Recorder(256 * 1024);
  const store = openBytes(recorder.bytes, schema, recorder.memory);
  const {texts} = store.root;
  let last = 0;
  // Up to the key that will find too many places taken.
  for (; last < LONGEST_PROBE + 1; last++) texts.set(keys[last]!, last);
  t.is(indexOf(texts).secret, 0);
  const image = bytesOf(recorder.bytes);
  recorder.start();
  texts.set(keys[last]!, last);
  const stores = recorder.stop();
  t.not(indexOf(texts).secret, 0);
  const sizes = new Set<number>();
  for (let cut = 0; cut <= stores.length; cut++) {
    // All the hashes of the new index are written before anything refers to it: every twentieth of these will do.
    if (cut % 20 === 0 || cut > stores.length - 100) {
      const copy = openBytes(new Uint8Array(image), schema);
      t.deepEqual(copy.check().problems, [], `cut after store ${cut} of ${stores.length}`);
      const {size} = copy.root.texts;
      t.is(indexOf(copy.root.texts).secret !== 0, size === last + 1);
      t.true(keys.slice(0, size).every((key, i) => copy.root.texts.get(key) === i));
      sizes.add(size);
      copy.close();
    }
    const next = stores[cut];
    if (next) image.set(next.bytes, next.offset);
  }
  t.deepEqual([...sizes], [last, last + 1]);
});

test('a damaged secret costs no entry', async t => {
  const name = freshName();
  const where = {name, backend: 'file', ...pathOf(name, 'file'), size: '1MB', schema} as const;
  const store = await fresh(t, 'file', schema, where);
  const keys = colliding(300);
  for (const [i, key] of keys.entries()) store.root.texts.set(key, i);
  const {engine, word} = (
    store.root.texts as unknown as {index: {engine: {memory: {u32: Uint32Array}}; word: number}}
  ).index;
  engine.memory.u32[word + 3]! ^= 0x40;
  store.close();
  const {setAside, problems} = await repairStore(where);
  t.deepEqual([setAside, problems], [[], []]);
  const again = await openStore(where);
  for (const [i, key] of keys.entries()) t.is(again.root.texts.get(key), i);
  again.destroy();
});
