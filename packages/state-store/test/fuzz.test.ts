// Damaged segments: any byte of a store may be anything. Opening, checking and reading it ends, and either works or says
// what is wrong with a StoreError; nothing else is thrown and nothing runs for ever.
import {once} from 'node:events';
import {readFileSync, rmSync, truncateSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {constants, createGzip, gunzipSync, gzipSync} from 'node:zlib';
import test from 'ava';
import {type Slots, slotsHeadCells} from '../src/collections/slots.js';
import {
  dumpStore,
  loadStore,
  openStore,
  readStore,
  repairStore,
  type Schema,
  type Store,
  StoreError,
  t as ty,
} from '../src/index.js';
import {at, BUILDING, HEADER_BYTES, MOVED, READY, updateSize} from '../src/segment/header.js';
import {Memory} from '../src/segment/memory.js';
import {CountingMemory} from './helpers/counting.js';
import {emptyModel, type ProgramStore, Random, schema, step} from './helpers/program.js';
import {bytesOf, openBytes} from './helpers/recorder.js';
import {fresh, freshName} from './helpers/stores.js';

const SIZE = 160 * 1024;

function image(seed: number): Uint8Array {
  const bytes = new Uint8Array(SIZE);
  const store = openBytes(bytes, schema);
  let model = emptyModel();
  for (let i = 0; i < 40; i++) model = step(model, seed, store);
  const copy = bytesOf(bytes);
  store.close();
  return copy;
}

/** Reads for each byte of an image that opening it, checking it and looking at all of it may take: many times what a sound one takes. */
const READS_PER_BYTE = 60;

/** Opens, checks, reads and writes whatever it can, in a bounded number of steps. True when it was found to be damaged. */
function exercise(bytes: Uint8Array): boolean {
  let damaged = false;
  const attempt = (what: () => void) => {
    try {
      what();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      damaged = true;
    }
  };
  attempt(() => {
    const memory = new CountingMemory(bytes, READS_PER_BYTE * Math.max(bytes.length, SIZE));
    const store = openBytes(bytes, schema, memory);
    const {ok} = store.check();
    damaged = !ok;
    for (const look of looks(store)) attempt(look);
  });
  return damaged;
}

/** Looks at all that is in a store, and changes something in every collection. */
function looks({root}: ProgramStore): (() => void)[] {
  return [
    ...Object.values(root as Record<string, {toJSON?(): unknown}>).map(
      value => () => void JSON.stringify(value.toJSON?.(), (_, v) => (typeof v === 'bigint' ? String(v) : v)),
    ),
    () => void root.counts.get('anything'),
    () => void root.scores.get(5),
    () => void root.items.get(3),
    () => void root.items.insert({key: 1, name: 'n'.repeat(200)}),
    () => {
      for (const item of root.items)
        Object.assign(item, {name: 'another', label: null, body: {tag: 'none', value: 1}});
    },
    () => root.items.remove([...root.items][0]!),
    () => {
      for (let i = 0; i < 40; i++) root.counts.set(`more ${i}`, i);
    },
    () => {
      for (const key of [...root.counts.keys()].slice(0, 9)) root.counts.delete(key);
    },
    () => void root.notes.set(7, {text: 't'.repeat(90)}),
    () => void root.bytes.clear(),
    () => {
      root.texts.push('some text', 'more');
      root.texts.set(0, 'another');
      root.texts.pop();
    },
    () => root.log.push({text: 'pushed'}),
    () => void root.queue.remove([...root.queue.entries()][0]?.[0] ?? 0),
    () => void root.scores.set(5, {text: 'five'}).delete(6),
    () => {
      root.best.$set({stars: 1, text: 'best'});
    },
  ];
}

const words = Object.entries(at)
  .filter(([name]) => name !== 'writersCount')
  .map(([, offset]) => offset as number)
  .flatMap(offset => [offset, offset + 4])
  .filter(offset => offset % 4 === 0);

/** An image with damage of some kind: any byte, any word of the header, whole pages, any length. */
function damage(random: Random, whole: Uint8Array): Uint8Array {
  const length = random.next() < 0.4 ? random.below(whole.length * 1.3) : whole.length;
  const bytes = new Uint8Array(length);
  bytes.set(whole.subarray(0, length));
  if (length < 8) return bytes;
  const view = new DataView(bytes.buffer);
  const anywhere = (unit: number) => random.below(Math.floor(length / unit)) * unit;
  const kinds: (() => void)[] = [
    () => {
      bytes[anywhere(1)] = random.below(256);
    },
    () => {
      bytes[anywhere(1)]! ^= 1 << random.below(8);
    },
    () => {
      const word = random.next() < 0.5 ? random.pick(words) : anywhere(4);
      if (word + 4 > length) return;
      const now = view.getUint32(word, true);
      const values = [
        0,
        1,
        now + 1,
        now - 1,
        2 ** 31,
        2 ** 32 - 1,
        BUILDING,
        READY,
        MOVED,
        random.below(SIZE / 8),
      ];
      view.setUint32(word, random.pick(values), true);
    },
    () => {
      const [from, to, size] = [anywhere(512), anywhere(512), random.pick([512, 4096, 16384])];
      const what = random.below(4);
      const part = bytes.subarray(to, Math.min(to + size, length));
      if (what === 0) part.fill(0);
      else if (what === 1) part.fill(255);
      else if (what === 2) part.set(bytes.slice(from, from + part.length));
      else for (let i = 0; i < part.length; i++) part[i] = random.below(256);
    },
  ];
  const least = length === whole.length ? 1 : 0;
  for (let n = least + random.below(6); n > 0; n--) random.pick(kinds)();
  return bytes;
}

const seeded = () => Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));

test('damage of any kind, at any length, is survived and mostly found, in steps proportional to the size', t => {
  const seed = seeded();
  const random = new Random(seed);
  const rounds = Number(process.env['ZLR_FUZZ'] ?? 250);
  let found = 0;
  const whole = image(seed);
  t.false(exercise(bytesOf(whole)), 'an intact image is no damaged one');
  for (let i = 0; i < rounds; i++) {
    const bytes = damage(random, whole);
    t.notThrows(() => {
      if (exercise(bytes)) found++;
    }, `seed ${seed}, round ${i}`);
  }
  t.log(`seed ${seed}: ${rounds} damaged images, ${found} found to be`);
});

test('chains in a circle, an index of one hash alone and one without an empty place are no loops without end', t => {
  const size = 2 ** 19;
  const bytes = new Uint8Array(size);
  const shape = {list: ty.list(ty.u32), sorted: ty.sorted(ty.u32, ty.u32), map: ty.map(ty.u32, ty.u32)};
  const store = openBytes(bytes, shape);
  for (let i = 0; i < 2000; i++) {
    store.root.list.push(i);
    store.root.sorted.set(i, i);
    store.root.map.set(i, i);
  }
  const {list, sorted, map} = store.root as unknown as Record<string, {slots: Slots}>;
  const [nodes, lanes, entries] = [list!.slots, sorted!.slots, map!.slots];
  const [last, node] = [nodes.cell(1999) * 2, lanes.cell(1999) * 2];
  const [living, sortedLiving, index] = [
    nodes.head * 2 + 1,
    lanes.head * 2 + 1,
    (entries.head + slotsHeadCells(true)) * 2,
  ];
  store.close();
  /** Counts what check(), an iteration and a write read. */
  const look = (damage: (words: Uint32Array) => void, write?: (store: Store<typeof shape>) => void) => {
    const image = bytesOf(bytes);
    damage(new Uint32Array(image.buffer));
    const damaged = openBytes(image, shape, new CountingMemory(image, 12 * size));
    if (write) t.throws(() => write(damaged), {code: 'ERR_CORRUPT'});
    t.false(damaged.check().ok);
    t.deepEqual(damaged.repair().problems, []);
    damaged.close();
  };
  look(
    u32 => {
      u32[last + 1] = 1;
      u32[living] = 2 ** 32 - 1;
    },
    store => [...store.root.list],
  );
  look(
    u32 => {
      u32[node] = 1;
      u32[sortedLiving] = 2 ** 32 - 1;
    },
    store => [...store.root.sorted],
  );
  const places = (u32: Uint32Array, change: (word: number) => void) => {
    for (let place = 0; place <= u32[index + 1]!; place++) change((u32[index]! + place) * 2);
  };
  look(u32 =>
    places(u32, word => {
      u32[word] = 5;
      u32[word + 1] ||= 1;
    }),
  );
  look(
    u32 =>
      places(u32, word => {
        u32[word + 1] ||= 1;
      }),
    store => store.root.map.set(5000, 1),
  );
});

/** ERR_VALUE: what is changed may not be there. */
const CODES = /^ERR_(FOREIGN|VERSION|CORRUPT|NOT_FOUND|FULL|BUSY|VALUE)$/;

test('so it is on every backend, in a dump, for readers, for repair and for another schema', async t => {
  const seed = seeded();
  const random = new Random(seed);
  const rounds = Math.ceil(Number(process.env['ZLR_FUZZ'] ?? 250) / 8);
  const whole = image(seed);
  const path = join(tmpdir(), `${freshName()}.store`);
  t.teardown(() => rmSync(path, {force: true}));
  const file = {name: 'bytes', backend: 'file', path} as const;
  const more = {...schema, more: ty.u8};
  const use = (store: Store<Schema>, write = true) => {
    try {
      store.check();
      store.quarantine();
      store.info();
      for (const look of write ? looks(store as never) : []) look();
    } finally {
      store.close();
    }
  };
  for (let i = 0; i < rounds; i++) {
    const bytes = damage(random, whole);
    const put = () => writeFileSync(path, bytes, {mode: 0o600});
    const shared = () => {
      const shared = new SharedArrayBuffer(bytes.length);
      new Uint8Array(shared).set(bytes);
      return {name: 'bytes', backend: 'memory', shared, schema} as const;
    };
    const dump = gzipSync(bytes);
    const broken = Uint8Array.from(dump);
    broken[random.below(broken.length)]! ^= 1 << random.below(8);
    const loaded = {name: freshName(), backend: 'memory'} as const;
    const ways: Record<string, () => Promise<unknown>> = {
      open: async () => use((await openStore({...file, schema})) as never),
      'open with others': async () => use((await openStore({...file, schema, writers: 'many'})) as never),
      'open larger': async () => use((await openStore({...file, schema, maxSize: '1MB'})) as never),
      read: async () => use(await readStore(file), false),
      'read by schema': async () => use((await openStore({...file, schema, readonly: true})) as never, false),
      dump: async () => {
        const store = await readStore(file);
        try {
          dumpStore(store);
        } finally {
          store.close();
        }
      },
      repair: async () => repairStore(file),
      compact: async () => use((await openStore({...file, schema, compact: true})) as never),
      migrate: async () => use((await openStore({...file, schema: more})) as never),
      memory: async () => use((await openStore(shared())) as never),
      load: async () => loadStore(dump, loaded),
      'load what is broken': async () => loadStore(broken, loaded),
      'load what was cut off': async () => loadStore(dump.subarray(0, random.below(dump.length)), loaded),
    };
    for (const [how, way] of Object.entries(ways)) {
      put();
      try {
        await way();
        if (how.startsWith('load')) (await openStore({...loaded, schema})).destroy();
      } catch (error) {
        if (!(error instanceof StoreError))
          t.fail(`seed ${seed}, round ${i}, ${how}: ${(error as Error).stack}`);
        // Beside others a record that is damaged cannot be told from one that another writer has just removed.
        else if (how !== 'open with others' || error.code !== 'ERR_STALE')
          t.regex(error.code, CODES, `seed ${seed}, round ${i}, ${how}: ${error.message}`);
      }
    }
  }
  t.log(`seed ${seed}: ${rounds} damaged images`);
});

test('a file that was cut to no multiple of 8 is refused when it was looked at a few times', async t => {
  const path = join(tmpdir(), `${freshName()}.store`);
  t.teardown(() => rmSync(path, {force: true}));
  const place = {name: 'cut', backend: 'file', path, schema: {n: ty.uint}} as const;
  (await openStore({...place, size: '8MB'})).close();
  for (const length of [4_724_655, 4_724_656, 4097, 8 * 2 ** 20 - 1]) {
    truncateSync(path, length);
    const before = mapped(path);
    for (const open of [
      () => openStore(place),
      () => openStore({...place, readonly: true}),
      () => readStore(place),
    ])
      await t.throwsAsync(
        open() as Promise<unknown>,
        {code: 'ERR_CORRUPT', message: /cut short/},
        `${length}`,
      );
    t.true(mapped(path) - before <= 9, `${length}: mapped ${mapped(path) - before} times`);
    truncateSync(path, 8 * 2 ** 20);
  }
});

/** How often a file is mapped by now: a mapping goes when it is collected. */
function mapped(path: string): number {
  return readFileSync('/proc/self/maps', 'utf8')
    .split('\n')
    .filter(line => line.endsWith(path)).length;
}

test('a segment that says that it was left, though it lies where the store is, is refused', async t => {
  const path = join(tmpdir(), `${freshName()}.store`);
  t.teardown(() => rmSync(path, {force: true}));
  const place = {name: 'left', backend: 'file', path, schema: {n: ty.uint}} as const;
  const store = await openStore({...place, size: '64KB', writers: 'many'});
  store.root.n = 1;
  const reader = await openStore({...place, readonly: true});
  new DataView(store.memory.buffer, store.memory.byteOffset).setUint32(at.state, MOVED, true);
  // Those who have it open go on no longer than those who come.
  t.throws(() => reader.read(root => root.n), {instanceOf: StoreError});
  t.throws(() => store.transaction(() => store.root.n++), {instanceOf: StoreError});
  store.close();
  reader.close();
  const bytes = readFileSync(path);
  for (const open of [() => openStore(place), () => readStore(place), () => repairStore(place)])
    await t.throwsAsync(open() as Promise<unknown>, {code: 'ERR_CORRUPT'});
  t.deepEqual(readFileSync(path).subarray(64), bytes.subarray(64));
});

test('a dump that would inflate to more than its header says is refused before it has', async t => {
  const whole = gunzipSync(dumpStore((await fresh(t, 'memory', {n: ty.uint}, {size: '64KB'})) as never));
  const bomb = async (size: number, zeros: number, garbage: boolean) => {
    const gzip = createGzip();
    const parts: Buffer[] = [];
    gzip.on('data', part => parts.push(part));
    gzip.write(whole);
    gzip.write(Buffer.alloc(zeros));
    await new Promise<void>(resolve => gzip.flush(constants.Z_FULL_FLUSH, () => resolve()));
    // Who inflated what comes now would find that it is none.
    if (garbage) return Buffer.concat([...parts, Buffer.alloc(size, 0xff)]);
    gzip.end();
    await once(gzip, 'end');
    return Buffer.concat(parts);
  };
  const place = {name: freshName(), backend: 'memory'} as const;
  const behind = {code: 'ERR_CORRUPT', message: /goes on behind the 65536 bytes/};
  await t.throwsAsync(loadStore(await bomb(1e5, 2 ** 20, true), place), behind);
  await t.throwsAsync(loadStore(await bomb(0, 2 ** 25, false), place), behind);
  // Less than as much again is the rest of a file that was about to grow; what is broken there is broken.
  await t.throwsAsync(loadStore(await bomb(1e5, 2 ** 14, true), place), {instanceOf: StoreError});
  await loadStore(await bomb(0, 2 ** 14, false), place);
  (await openStore({...place, schema: {n: ty.uint}})).destroy();
  // A header that says what no dump of its length can hold takes no memory.
  const page = new Memory(Uint8Array.from(whole));
  updateSize(page, 2 ** 32 - 4096);
  await t.throwsAsync(loadStore(gzipSync(page.buffer), place), {code: 'ERR_CORRUPT', message: /too short/});
});

test('a text without a block, or with one that reaches beyond the heap, is found to be damaged', t => {
  const bytes = new Uint8Array(SIZE);
  const maker = openBytes(bytes, {text: ty.string()});
  maker.root.text = 'some text';
  maker.close();
  const words = new Uint32Array(bytes.buffer);
  const field = words[at.root / 4]! * 2;
  const block = words[field]! * 2 - 2;
  for (const damage of [{[field]: 0}, {[field + 1]: 2 ** 31 - 1, [block]: 2 ** 31}]) {
    const damaged = bytesOf(bytes);
    for (const [word, value] of Object.entries(damage)) new Uint32Array(damaged.buffer)[Number(word)] = value;
    const store = openBytes(damaged, {text: ty.string()});
    t.throws(() => store.root.text, {code: 'ERR_CORRUPT'});
    t.false(store.check().ok);
  }
});

test('a union with a tag that it does not have is found to be damaged', t => {
  const bytes = new Uint8Array(SIZE);
  const schema = {body: ty.union({none: ty.u8, some: ty.u32})};
  openBytes(bytes, schema).close();
  bytes[new Uint32Array(bytes.buffer)[at.root / 4]! * 8] = 9;
  const store = openBytes(bytes, schema);
  t.throws(() => store.root.body, {code: 'ERR_CORRUPT', message: /body: tag 9/});
  t.throws(() => store.toJSON(), {code: 'ERR_CORRUPT'});
  t.false(store.check().ok);
  store.root.body = {tag: 'some', value: 5};
  t.deepEqual(store.root.body, {tag: 'some', value: 5});
});

test('every byte of the fixed part of the header is guarded', t => {
  const whole = image(11);
  whole.fill(0, at.owner, at.owner + 8); // who was refused takes back that he was there
  for (let offset = 0; offset < at.checksum + 4; offset++) {
    if ((offset >= at.owner && offset < at.owner + 8) || (offset >= at.birth + 8 && offset < at.name))
      continue;
    const bytes = bytesOf(whole);
    bytes[offset]! ^= 0x10;
    const error = t.throws(() => openBytes(bytes, schema), {instanceOf: StoreError}, `byte ${offset}`);
    t.regex((error as StoreError).code, /^ERR_(FOREIGN|VERSION|CORRUPT)$/);
    const expected = bytesOf(whole);
    expected[offset]! ^= 0x10;
    t.deepEqual(Buffer.compare(bytes, expected), 0, `byte ${offset}: left untouched`);
  }
  for (const length of [0, 7, 100, HEADER_BYTES - 8, HEADER_BYTES, SIZE / 2])
    t.throws(
      () => openBytes(whole.slice(0, length - (length % 8)), schema),
      {instanceOf: StoreError},
      `cut to ${length}`,
    );
});

test('a ring that says it was pushed to more often than can be counted is damaged, and no loop without end', t => {
  const bytes = image(5);
  const store = openBytes(bytesOf(bytes), schema);
  const {rootCell, offset} = {
    rootCell: new DataView(bytes.buffer).getUint32(at.root, true),
    offset: store.describe().fields!.find(({name}) => name === 'tail')!.offset,
  };
  store.close();
  new DataView(bytes.buffer).setUint32(rootCell * 8 + offset + 4, 2 ** 31, true);
  const damaged = openBytes(bytes, schema);
  t.throws(() => [...damaged.root.tail], {code: 'ERR_CORRUPT'});
  t.throws(() => damaged.root.tail.push(1), {code: 'ERR_CORRUPT'});
  damaged.close();
});

test('a union with a tag of no variant is damaged, and not undefined', t => {
  const store = openBytes(new Uint8Array(SIZE), schema);
  const item = store.root.items.insert({body: {tag: 'text', value: 'here'}});
  const {fields} = store.describe().fields!.find(({name}) => name === 'items')!.type.of![0]!;
  const {offset} = fields!.find(({name}) => name === 'body')!;
  store.memory[store.layout('items').byteOffset + offset] = 200;
  t.throws(() => item.body, {code: 'ERR_CORRUPT'});
  t.throws(() => item.toJSON(), {code: 'ERR_CORRUPT'});
  t.false(store.check().ok);
  store.close();
});
