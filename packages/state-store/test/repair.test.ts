// A store whose structure is damaged is made whole again: what is damaged is set aside, what can be told from the rest is
// made anew, and nothing that was not hit is lost. A kill on the way is finished by the next repair.
import test, {type ExecutionContext} from 'ava';
import type {Slots} from '../src/collections/slots.js';
import {openStore, type SetAside, type Store, StoreError, struct, t as ty} from '../src/index.js';
import {at} from '../src/segment/header.js';
import {canonical, emptyModel, type Model, modelOf, Random, schema, step} from './helpers/program.js';
import {bytesOf, openBytes, Recorder} from './helpers/recorder.js';
import {fresh, freshName} from './helpers/stores.js';

const Part = struct('Part', {n: ty.u32, name: ty.string(), sure: ty.bool});
const Holder = struct('Holder', {part: ty.ref(() => Part), maybe: ty.u8.optional()});
const parts = {
  parts: ty.table(Part),
  holders: ty.table(Holder, {capacity: 8}),
  byName: ty.map(ty.string(), Part),
  byNumber: ty.map(ty.u32, ty.u32),
  list: ty.list(Part),
  sorted: ty.sorted(ty.u32, ty.string()),
  vector: ty.vector(Part),
  ring: ty.ring(Part, 4),
  note: ty.string(),
  best: Part,
};
const SIZE = 256 * 1024;

function part(n: number) {
  return {n, name: `part ${n}, of some length`, sure: n % 2 === 0};
}

function filled(): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const store = openBytes(bytes, parts);
  const {root} = store;
  for (let n = 0; n < 6; n++) {
    const made = root.parts.insert(part(n));
    root.holders.insert({part: made, maybe: n});
    root.byName.set(`key ${n} that is longer than an entry has room for`, part(n));
    root.byNumber.set(n * 7, n);
    root.list.push(part(n));
    root.sorted.set(n * 10, `text ${n}`);
    root.vector.push(part(n));
    root.ring.push(part(n));
  }
  root.parts.remove([...root.parts][2]!);
  root.note = 'a note';
  root.best = part(9) as never;
  store.close();
  return bytes;
}

type Parts = Store<typeof parts>;

/** The cell and the generation word of a slot. */
function slotOf(
  store: Parts,
  collection: keyof typeof parts,
  slot: number,
): {cell: number; word: number; head: number} {
  const {slots} = store.root[collection] as unknown as {slots: Slots};
  return {cell: slots.cell(slot), word: slots.word(slot), head: slots.head};
}

function headOf(store: Parts, collection: keyof typeof parts): number {
  return (store.root[collection] as unknown as {head: number}).head;
}

/** Everything as JSON, by collection. */
function content(store: Parts): Record<string, unknown[]> {
  const all = JSON.parse(JSON.stringify(store.toJSON())) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(all).map(([key, value]) => [
      key,
      // What they name may have been set aside.
      key === 'holders'
        ? store.root.holders.toJSON().map(({$id}) => $id)
        : Array.isArray(value)
          ? value
          : [value],
    ]),
  );
}

interface Damage {
  what: string;
  /** Does the damage, to the bytes of a closed store, with an open one to find out where. */
  damage(words: Uint32Array, store: Parts): void;
  /** Of the entries, in order: where from and why. */
  aside: [collection: string, reason: RegExp][];
  /** How many are missing afterwards where nothing was set aside. */
  without?: Record<string, number>;
}

const damages: Damage[] = [
  {
    what: 'a string that names no block',
    damage(words, store) {
      words[slotOf(store, 'parts', 3).cell * 2 + 2] = 77;
    },
    aside: [['parts', /parts\[3\]\.name names cell 77 as its block, but there is none/]],
  },
  {
    what: 'a string longer than its block',
    damage(words, store) {
      words[slotOf(store, 'byName', 1).cell * 2 + 8 + 3] = 5000;
    },
    aside: [['byName', /needs 5000 bytes/]],
  },
  {
    what: "a string that names another's block, of another size",
    damage(words, store) {
      const [from, to] = [slotOf(store, 'parts', 0).cell, slotOf(store, 'byName', 1).cell];
      words[from * 2 + 2] = words[to * 2 + 1]!; // that of its key, which is twice as long
    },
    aside: [['parts', /shares its block/]],
  },
  {
    what: "a string that names another's block, of the same size: nobody can tell whose it is",
    damage(words, store) {
      const [from, to] = [slotOf(store, 'parts', 0).cell, slotOf(store, 'list', 1).cell];
      words[from * 2 + 2] = words[(to + 1) * 2 + 2]!;
    },
    aside: [
      ['list', /shares its block/],
      ['parts', /shares its block/],
    ],
  },
  {
    what: 'a bool that is none',
    damage(words, store) {
      words[(slotOf(store, 'list', 2).cell + 3) * 2] = 0xff;
    },
    aside: [['list', /a bool of 255/]],
  },
  {
    what: 'a presence byte that is none, and a ref that cannot be',
    damage(words, store) {
      words[slotOf(store, 'holders', 1).cell * 2 + 2] = 0x0900;
      words[slotOf(store, 'holders', 4).cell * 2] = 2 ** 32 - 1;
    },
    aside: [
      ['holders', /its presence byte is 9/],
      ['holders', /a ref to slot/],
    ],
  },
  {
    what: 'a key that is not the one its entry was stored under',
    damage(words, store) {
      words[slotOf(store, 'byNumber', 2).cell * 2] = 123_456;
    },
    aside: [['byNumber', /its key is not the one it was stored under/]],
  },
  {
    what: 'a key that is not where the chain has it',
    damage(words, store) {
      words[(slotOf(store, 'sorted', 2).cell + 7) * 2] = 1000;
    },
    aside: [['sorted', /its key is not where the chain has it/]],
  },
  {
    what: 'a key that is now that of another',
    damage(words, store) {
      words[(slotOf(store, 'sorted', 2).cell + 7) * 2] = 10;
    },
    aside: [
      ['sorted', /its key is not where/],
      ['sorted', /its key is not where/],
    ],
  },
  {
    what: 'the index of a map',
    damage(words, store) {
      const index = words[(slotOf(store, 'byNumber', 0).head + 28) * 2]!;
      words.fill(0, index * 2, (index + 128) * 2);
    },
    aside: [],
  },
  {
    what: 'the chain of a list',
    damage(words, store) {
      words[slotOf(store, 'list', 2).cell * 2 + 1] = 999;
    },
    aside: [],
  },
  {
    what: 'the lanes of a sorted map',
    damage: (words, store) =>
      void words.fill(3, slotOf(store, 'sorted', 3).cell * 2, slotOf(store, 'sorted', 3).cell * 2 + 12),
    aside: [],
  },
  {
    what: 'a free list that names a live record',
    damage(words, store) {
      words[slotOf(store, 'parts', 0).head * 2] = 1;
    },
    aside: [],
  },
  {
    what: 'a record marked as not in use',
    damage: (words, store) => void words[slotOf(store, 'parts', 3).word]!++,
    aside: [['parts', /slot 3 is not in use, but the list of free slots lacks it/]],
  },
  {
    what: 'a free slot marked as in use',
    damage: (words, store) => void words[slotOf(store, 'parts', 2).word]!++,
    aside: [['parts', /slot 2 is in use, but the list of free slots has it/]],
    without: {},
  },
  {
    what: 'too few slots said to be in use',
    damage(words, store) {
      words[slotOf(store, 'list', 0).head * 2 + 2] = 2;
    },
    aside: [],
  },
  {
    what: 'a wrong number of live records',
    damage(words, store) {
      words[slotOf(store, 'parts', 0).head * 2 + 1] = 60;
    },
    aside: [],
  },
  {
    what: 'a value of a vector',
    damage(words, store) {
      words[words[headOf(store, 'vector') * 2]! * 2 + 8] = 7;
    },
    aside: [['vector', /vector\[1\]\.name names cell 7/]],
  },
  {
    what: 'the block of a vector',
    damage(words, store) {
      words[(words[headOf(store, 'vector') * 2]! - 1) * 2 + 1] = 0x45455246; // free
    },
    aside: [['vector', /as its block, but there is none/]],
    without: {vector: 6},
  },
  {
    what: 'a place of a ring',
    damage(words, store) {
      words[words[headOf(store, 'ring') * 2 + 2]! * 2 + 2] = 7;
    },
    aside: [['ring', /names cell 7/]],
  },
  {
    what: 'fields of the root',
    damage(words, store) {
      const rootCell = words[at.root / 4]!;
      const offsets = Object.fromEntries(store.describe().fields!.map(({name, offset}) => [name, offset]));
      words[rootCell * 2 + offsets['note']! / 4] = 5;
      words[rootCell * 2 + offsets['best']! / 4 + 4] = 7;
    },
    aside: [
      ['note', /names cell 5/],
      ['best', /a bool of 7/],
    ],
  },
  {
    what: 'the header of a block in use',
    damage(words, store) {
      const block = words[slotOf(store, 'parts', 4).cell * 2 + 2]! - 1;
      words[block * 2] = 0;
      words[block * 2 + 1] = 0;
    },
    aside: [],
  },
  {
    what: 'the size of a block in use',
    damage(words) {
      words[words[at.heap / 4]! * 2] = 1000;
    },
    aside: [],
  },
  {
    what: 'the header of a block in use that says it is free',
    damage(words, store) {
      words[words[slotOf(store, 'parts', 4).cell * 2 + 2]! * 2 - 1] = 0x45455246;
    },
    aside: [['parts', /names cell \d+ as its block, but there is none/]],
  },
  {
    what: 'the header of a free block, and the lists of free blocks',
    damage(words) {
      let block = words[at.heap / 4]!;
      while (words[block * 2 + 1] !== 0x45455246) block += words[block * 2]!;
      words[block * 2] = 77_777;
      words.fill(block, at.free / 4, at.free / 4 + 120);
    },
    aside: [],
  },
  {
    what: 'the top of the heap',
    damage(words) {
      words[at.heapTop / 4] = words[at.heap / 4]! + 20;
    },
    aside: [],
  },
  {
    what: 'a top of the heap that is old: newer blocks follow it, and are named',
    damage(words, store) {
      words[at.heapTop / 4] = words[slotOf(store, 'byName', 4).cell * 2 + 1]! - 1;
    },
    aside: [],
  },
  {
    what: 'the limit of the heap',
    damage(words) {
      words[at.heapLimit / 4]! -= 64;
    },
    aside: [],
  },
  {
    what: 'a top of the heap that is too high',
    damage: words => void words[at.heapTop / 4]!++,
    aside: [],
  },
  {
    what: 'the generation of the root',
    damage(words) {
      words[at.live / 4] = 7;
    },
    aside: [],
  },
];

for (const {what, damage, aside, without} of damages)
  test(`repair: ${what}`, t => {
    const bytes = filled();
    const before = openBytes(bytesOf(bytes), parts);
    t.deepEqual(before.check(), {ok: true, problems: []});
    damage(new Uint32Array(bytes.buffer), before);
    const whole = content(before);
    const store = openBytes(bytes, parts);
    t.false(store.check().ok, 'check() finds it');
    const keys = [0, 1, 2, 3, 4, 5].map(n => `key ${n} that is longer than an entry has room for`);
    for (const key of keys) store.root.byName.has(key); // now known to this process
    const {setAside, problems} = store.repair();
    t.deepEqual(problems, []);
    t.deepEqual(store.check(), {ok: true, problems: []});
    const there = new Set(store.root.byName.keys());
    for (const key of keys) t.is(store.root.byName.has(key), there.has(key), key);
    expectAside(t, setAside, aside);
    t.deepEqual(store.quarantine(), setAside);
    const left = content(store);
    for (const [key, values] of Object.entries(whole)) {
      const now = new Set(left[key]!.map(value => JSON.stringify(value)));
      const missing = values.filter(value => !now.has(JSON.stringify(value)));
      t.is(
        missing.length,
        without ? (without[key] ?? 0) : aside.filter(([from]) => from === key).length,
        key,
      );
    }
    t.deepEqual(store.repair(), {setAside: [], problems: []}, 'nothing is left to do');
    // It works: each collection takes and gives back.
    const {root} = store;
    root.parts.remove(root.parts.insert(part(50)));
    root.byName.set('new', part(51)).delete('new');
    t.true(root.byNumber.set(5, 5).delete(5));
    root.list.push(part(52));
    root.list.pop();
    root.sorted.set(5, 'five').delete(5);
    root.vector.push(part(53));
    root.ring.push(part(54));
    t.deepEqual(store.check(), {ok: true, problems: []});
  });

function expectAside(t: ExecutionContext, entries: SetAside[], expected: Damage['aside']): void {
  const found = entries
    .map(({collection, reason}) => [collection, reason] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  t.deepEqual(
    found.map(([collection]) => collection),
    expected.map(([collection]) => collection).sort(),
    JSON.stringify(found),
  );
  const sorted = [...expected].sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [i, [, reason]] of sorted.entries()) t.regex(found[i]![1], reason);
}

test('order stays as far as the chain is whole, what hangs on neither end comes last', t => {
  const bytes = filled();
  const before = openBytes(bytesOf(bytes), parts);
  const words = new Uint32Array(bytes.buffer);
  words[slotOf(before, 'list', 1).cell * 2 + 1] = 999; // 1 leads to nothing
  words[slotOf(before, 'list', 4).cell * 2] = 999; // and nothing leads back from 4
  const store = openBytes(bytes, parts);
  t.deepEqual(store.repair().setAside, []);
  t.deepEqual(
    [...store.root.list].map(({n}) => n),
    [0, 1, 4, 5, 2, 3],
  );
});

test('what was set aside keeps all that could be read, and its cells', t => {
  const bytes = filled();
  const before = openBytes(bytesOf(bytes), parts);
  const {cell} = slotOf(before, 'byName', 1);
  new Uint32Array(bytes.buffer)[cell * 2 + 8 + 3] = 5000;
  const raw = Buffer.from(bytes.subarray(cell * 8, (cell + 7) * 8)).toString('base64');
  const store = openBytes(bytes, parts);
  store.repair();
  const [entry] = store.quarantine();
  t.like(entry, {
    collection: 'byName',
    id: 1,
    key: 'key 1 that is longer than an entry has room for',
    value: {
      n: 1,
      name: {unreadable: 'byName.name: its length goes beyond its block; run check().'},
      sure: false,
    },
    raw,
  });
});

test('a place that cannot be told is left alone, and said', t => {
  const bytes = filled();
  const before = openBytes(bytesOf(bytes), parts);
  const words = new Uint32Array(bytes.buffer);
  words[slotOf(before, 'parts', 0).head * 2 + 5]! *= 2; // as if it had grown, into nowhere
  words[slotOf(before, 'parts', 0).head * 2 + 10] = 700;
  words[slotOf(before, 'parts', 0).head * 2 + 11] = 800;
  words[slotOf(before, 'parts', 3).cell * 2 + 2] = 77;
  const damaged = bytesOf(bytes);
  const store = openBytes(bytes, parts);
  const {setAside, problems} = store.repair();
  t.deepEqual(setAside, []);
  t.true(problems.some(problem => /extent 1: its extent at cell 700 lies before/.test(problem)));
  store.close();
  bytes.copyWithin(at.epoch, 0, 0);
  new Uint32Array(bytes.buffer)[at.epoch / 4] = new Uint32Array(damaged.buffer)[at.epoch / 4]!;
  t.is(Buffer.compare(bytes, damaged), 0, 'nothing was written');
});

test('entries whose chain is torn are found again', t => {
  const bytes = filled();
  const words = new Uint32Array(bytes.buffer);
  const before = openBytes(bytesOf(bytes), parts);
  for (const slot of [0, 1, 3]) words[slotOf(before, 'parts', slot).cell * 2 + 2] = 7;
  const store = openBytes(bytes, parts);
  const entries = store.repair().setAside;
  t.is(entries.length, 3);
  store.close();
  words[words[at.quarantine / 4]! * 2] = 12;
  const again = openBytes(bytes, parts);
  t.throws(() => again.quarantine(), {code: 'ERR_CORRUPT'});
  t.deepEqual(again.repair(), {setAside: [], problems: []});
  const sorted = (all: SetAside[]) => [...all].sort((a, b) => a.id! - b.id!);
  t.deepEqual(sorted(again.quarantine()), sorted(entries));
});

/** The image of a store after a program over every type and collection. */
function programmed(seed: number): {bytes: Uint8Array; model: Model} {
  const bytes = new Uint8Array(SIZE);
  const store = openBytes(bytes, schema);
  let model = emptyModel();
  for (let i = 0; i < 80; i++) model = step(model, seed, store);
  store.close();
  return {bytes, model};
}

/** Damages words between the root and the end, outside what was never used. */
function hit(random: Random, bytes: Uint8Array, times: number): number[] {
  const view = new DataView(bytes.buffer);
  const [root, top, limit] = [at.root, at.heapTop, at.heapLimit].map(
    offset => view.getUint32(offset, true) * 8,
  );
  const places: number[] = [];
  while (places.length < times) {
    const offset = root! + random.below(SIZE - root!);
    if (offset >= top! && offset < limit!) continue;
    const word = offset - (offset % 4);
    if (random.next() < 0.5) bytes[offset]! ^= 1 << random.below(8);
    else {
      const value = random.pick([
        0,
        1,
        2 ** 32 - 1,
        2 ** 31,
        view.getUint32(word, true) + 1,
        random.below(SIZE / 8),
      ]);
      view.setUint32(word, value, true);
    }
    places.push(offset);
  }
  return places;
}

const plainly = (_: string, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v);

for (const times of [1, 3, 25])
  test(`random damage to ${times} places is repaired, and what was not hit is as it was`, t => {
    const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
    const random = new Random(seed);
    const rounds = Math.ceil(Number(process.env['ZLR_FUZZ'] ?? 250) / (times > 1 ? 3 : 1));
    const {bytes: whole, model} = programmed(seed);
    const wanted = canonical(model) as Record<string, unknown>;
    const counts = {refused: 0, unseen: 0, repaired: 0, left: 0};
    for (let round = 0; round < rounds; round++) {
      const bytes = bytesOf(whole);
      const where = `seed ${seed}, round ${round}, hit at ${hit(random, bytes, times).join(', ')}`;
      let store: Store<typeof schema>;
      try {
        store = openBytes(bytes, schema);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        counts.refused++;
        continue;
      }
      if (store.check().ok) {
        counts.unseen++;
        continue;
      }
      const {setAside, problems} = store.repair();
      t.deepEqual(store.check().problems, problems, where);
      if (problems.length > 0) {
        counts.left++;
        if (times === 1) t.regex(problems.join(), /its head has/, where);
        continue;
      }
      counts.repaired++;
      const now = canonical(modelOf(store)) as Record<string, unknown>;
      let missing = 0;
      for (const [key, value] of Object.entries(wanted)) {
        if (key === 'links') continue; // null where what they name was set aside
        const [before, after] = [value, now[key]].map(all =>
          (Array.isArray(all) ? all : [all]).map(each => JSON.stringify(each, plainly)),
        );
        const left = new Set(after);
        missing += before!.filter(each => !left.has(each)).length;
      }
      // A hit may turn one value into another that nobody can tell from it; all else that is missing was set aside.
      const rows = setAside.reduce((sum, {value}) => sum + (Array.isArray(value) ? value.length : 1), 0);
      t.true(
        missing <= rows + times,
        `${where}: ${missing} missing, ${JSON.stringify(setAside.map(e => e.reason))}`,
      );
    }
    t.log(`seed ${seed}: ${JSON.stringify(counts)}`);
    t.true(counts.left <= counts.repaired);
  });

test('a kill after any store of a repair is finished by the next one, and costs nothing more', t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const bytes = filled();
  const before = openBytes(bytesOf(bytes), parts);
  const words = new Uint32Array(bytes.buffer);
  words[slotOf(before, 'parts', 3).cell * 2 + 2] = 77;
  words[slotOf(before, 'list', 2).cell * 2 + 1] = 999;
  words[(slotOf(before, 'sorted', 2).cell + 7) * 2] = 1000;
  words[slotOf(before, 'byNumber', 2).cell * 2] = 123_456;
  words[slotOf(before, 'holders', 1).head * 2] = 3;
  words[words[headOf(before, 'vector') * 2]! * 2 + 8] = 7;
  words[(words[slotOf(before, 'byName', 1).cell * 2 + 1]! - 1) * 2] = 1;
  const recorder = new Recorder(SIZE);
  recorder.bytes.set(bytes);
  const store = openBytes(recorder.bytes, parts, recorder.memory);
  const image = bytesOf(recorder.bytes);
  recorder.start();
  const {setAside, problems} = store.repair();
  const stores = recorder.stop();
  t.deepEqual(problems, []);
  t.true(setAside.length >= 4);
  const expected = content(store);
  const keys = (entries: SetAside[]) => entries.map(({collection, id}) => `${collection} ${id}`).sort();
  for (let cut = 0; cut <= stores.length; cut++) {
    const where = `seed ${seed}, cut after store ${cut} of ${stores.length}`;
    const copy = openBytes(new Uint8Array(image), parts);
    t.deepEqual(copy.repair().problems, [], where);
    t.deepEqual(keys(copy.quarantine()), keys(setAside), where);
    const {list, ...rest} = content(copy);
    const {list: nodes, ...others} = expected;
    t.deepEqual(rest, others, where);
    t.deepEqual(
      new Set(list!.map(node => JSON.stringify(node))),
      new Set(nodes!.map(node => JSON.stringify(node))),
    );
    const next = stores[cut];
    if (next) image.set(next.bytes, next.offset);
  }
});

test('a repair of much more than the log has room for', t => {
  const size = 4 * 1024 * 1024;
  const bytes = new Uint8Array(size);
  const store = openBytes(bytes, parts);
  const {root} = store;
  for (let n = 0; n < 5000; n++) {
    root.parts.insert({n, name: n % 2 ? 'x' : ''});
    root.byNumber.set(n, n);
    root.list.push({n});
    root.sorted.set(n, '');
  }
  const words = new Uint32Array(bytes.buffer);
  for (let slot = 1; slot < 5000; slot += 2) words[slotOf(store, 'parts', slot).cell * 2 + 2] = 7;
  words.fill(
    0,
    (words[(slotOf(store, 'byNumber', 0).head + 28) * 2]! + 3) * 2,
    (words[(slotOf(store, 'byNumber', 0).head + 28) * 2]! + 4000) * 2,
  );
  for (let slot = 0; slot < 5000; slot++) {
    words[slotOf(store, 'list', slot).cell * 2] = 0;
    words[slotOf(store, 'sorted', slot).cell * 2 + 12] = 0;
  }
  words.fill(0, at.free / 4, at.free / 4 + 120);
  words[slotOf(store, 'parts', 0).head * 2] = 9999;
  const {setAside, problems} = store.repair();
  t.deepEqual(problems, []);
  t.is(setAside.length, 2500);
  t.deepEqual(
    [root.parts.size, root.byNumber.size, root.list.size, root.sorted.size],
    [2500, 5000, 5000, 5000],
  );
  t.is(root.byNumber.get(4321), 4321);
});

/** As a machine that stopped leaves a store: its owner is of another boot. */
function ofAnotherBoot(bytes: Uint8Array): void {
  new DataView(bytes.buffer).setBigUint64(at.owner, (((ownBoot() + 1n) & 0xffn) << 56n) | 4_000_000n, true);
}
function ownBoot(): bigint {
  const probe = new Uint8Array(SIZE);
  const store = openBytes(probe, {n: ty.u8});
  const owner = new DataView(probe.buffer).getBigUint64(at.owner, true);
  store.close();
  return owner >> 56n;
}

test('a store that was written when its machine stopped is mended when it is opened, or refused', t => {
  const bytes = filled();
  const before = openBytes(bytesOf(bytes), parts);
  new Uint32Array(bytes.buffer)[slotOf(before, 'parts', 3).cell * 2 + 2] = 77;
  ofAnotherBoot(bytes);
  const store = openBytes(bytes, parts);
  t.deepEqual(store.check().problems, []);
  t.is(store.quarantine().length, 1);
  t.is(store.root.parts.size, 4);

  const worse = filled();
  const {head} = slotOf(before, 'parts', 0);
  new Uint32Array(worse.buffer).set([128], head * 2 + 5);
  new Uint32Array(worse.buffer).set([700, 800], head * 2 + 10);
  ofAnotherBoot(worse);
  t.throws(() => openBytes(worse, parts), {
    code: 'ERR_CORRUPT',
    message: /when its machine stopped, and is damaged/,
  });
});

test('a head that sends everything elsewhere is made anew when the store is mended, and said otherwise', t => {
  const collections = ['parts', 'byName', 'list', 'sorted', 'ring'] as const;
  for (const collection of collections) {
    const bytes = filled();
    const before = openBytes(bytesOf(bytes), parts);
    const whole = content(before);
    const head = collection === 'ring' ? headOf(before, 'ring') : slotOf(before, collection, 0).head;
    new Uint32Array(bytes.buffer)[head * 2 + (collection === 'ring' ? 2 : 9)]! -= 8;
    const open = openBytes(bytesOf(bytes), parts);
    t.true(
      open.check().problems.some(problem => problem.startsWith(`${collection}: its head has`)),
      collection,
    );
    t.deepEqual(open.repair().setAside, [], 'nothing is taken for damaged that only cannot be found');
    ofAnotherBoot(bytes);
    const store = openBytes(bytes, parts);
    t.deepEqual(store.check().problems, [], collection);
    t.deepEqual(content(store), whole, collection);
    t.is(store.info().quarantined, 0);
  }
});

test('a disk that kept some pages and lost others costs what was on them', t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const rounds = Number(process.env['ZLR_FUZZ'] ?? 40);
  const counts = {whole: 0, mended: 0, refused: 0, aside: 0};
  for (let round = 0; round < rounds; round++) {
    const bytes = new Uint8Array(SIZE);
    const store = openBytes(bytes, parts);
    const fill = (from: number, to: number) => {
      for (let n = from; n < to; n++) {
        store.root.parts.insert(part(n));
        store.root.byName.set(`key ${n} that is longer than an entry has room for`, part(n));
        store.root.list.push(part(n));
        store.root.sorted.set(n * 10, `text ${n}`);
        store.root.vector.push(part(n));
        if (n % 3 === 0) store.root.parts.remove([...store.root.parts][0]!);
        if (n % 5 === 0) store.root.list.shift();
      }
    };
    fill(0, 20 + random.below(60));
    const old = bytesOf(bytes);
    fill(100, 110 + random.below(150));
    for (let page = 0; page < SIZE; page += 4096)
      if (random.next() < 0.3) bytes.set(old.subarray(page, page + 4096), page);
    ofAnotherBoot(bytes);
    const where = `seed ${seed}, round ${round}`;
    try {
      const found = openBytes(bytes, parts);
      t.deepEqual(found.check().problems, [], where);
      t.notThrows(() => content(found), where);
      const {quarantined} = found.info();
      counts.aside += quarantined;
      if (quarantined === 0) counts.whole++;
      else counts.mended++;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      t.regex(error.code, /^ERR_(CORRUPT|FULL)$/, where);
      counts.refused++;
    }
  }
  t.log(`seed ${seed}: ${JSON.stringify(counts)}`);
  t.true(counts.refused < rounds / 2);
});

test("a struct's validate that comes upon damage has it mended", t => {
  const Strict = struct('Part', Part.fields, {
    validate({name}) {
      if (name === '') throw new Error('no name');
    },
  });
  const strict = {...parts, byName: ty.map(ty.string(), Strict)};
  const bytes = filled();
  const before = openBytes(bytesOf(bytes), parts);
  new Uint32Array(bytes.buffer)[slotOf(before, 'byName', 1).cell * 2 + 8 + 3] = 5000;
  const store = openBytes(bytes, strict as unknown as typeof parts);
  t.is(store.root.byName.size, 5);
  t.regex(store.quarantine()[0]!.reason, /needs 5000 bytes/);
  t.deepEqual(store.check().problems, []);
});

test('only who may write can repair, and not in a transaction', t => {
  const store = openBytes(filled(), parts);
  t.throws(() => store.snapshot().repair(), {code: 'ERR_READONLY'});
  t.throws(() => store.transaction(() => store.repair()), {code: 'ERR_TRANSACTION'});
});

test('without room for the entries nothing is lost, and with room the repair goes on', async t => {
  const name = freshName();
  const schema = {texts: ty.map(ty.u32, ty.string())};
  const store = await fresh(t, 'sysv', schema, {name, size: '64KB', logSize: '16KB'});
  t.throws(
    () => {
      for (let n = 0; ; n++) store.root.texts.set(n, `text ${n} of a length that needs a block`);
    },
    {code: 'ERR_FULL'},
  );
  const {size} = store.root.texts;
  const {slots} = store.root.texts as unknown as {slots: Slots};
  const words = new Uint32Array(store.memory.buffer, store.memory.byteOffset, store.memory.byteLength / 4);
  for (let slot = 0; slot < size; slot += 2) words[slots.cell(slot) * 2 + 3] = 7777;
  t.throws(() => store.repair(), {code: 'ERR_FULL'});
  const kept = store.root.texts.size + store.info().quarantined;
  t.is(kept, size);
  store.close();
  const larger = await openStore({name, backend: 'sysv', schema, maxSize: '4MB'});
  t.deepEqual(larger.repair().problems, []);
  t.is(larger.root.texts.size + larger.info().quarantined, size);
  t.is(larger.root.texts.size, Math.floor(size / 2));
  larger.destroy();
});
