// Damaged segments: any byte of a store may be anything. Opening, checking and reading it ends, and either works or says
// what is wrong with a StoreError; nothing else is thrown and nothing runs for ever.
import test from 'ava';
import {StoreError, t as ty} from '../src/index.js';
import {at, HEADER_BYTES} from '../src/segment/header.js';
import {emptyModel, Random, schema, step} from './helpers/program.js';
import {bytesOf, openBytes} from './helpers/recorder.js';

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

/** Opens, checks, reads and writes whatever it can. True when it was found to be damaged. */
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
    const store = openBytes(bytes, schema);
    const {ok} = store.check();
    damaged = !ok;
    const {root} = store;
    for (const key of Object.keys(schema) as (keyof typeof schema)[])
      attempt(
        () =>
          void JSON.stringify((root[key] as {toJSON?(): unknown}).toJSON?.(), (_, v) =>
            typeof v === 'bigint' ? String(v) : v,
          ),
      );
    attempt(() => void root.counts.get('anything'));
    attempt(() => void root.scores.get(5));
    attempt(() => void root.items.get(3));
  });
  return damaged;
}

test('random damage anywhere is survived and mostly found', t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const random = new Random(seed);
  const rounds = Number(process.env['ZLR_FUZZ'] ?? 250);
  let found = 0;
  const whole = image(seed);
  t.false(exercise(bytesOf(whole)), 'an intact image is no damaged one');
  for (let i = 0; i < rounds; i++) {
    const bytes = bytesOf(whole);
    const header = random.next() < 0.4;
    for (let n = random.below(6); n >= 0; n--) {
      const offset = header ? random.below(1100) : HEADER_BYTES + random.below(SIZE - HEADER_BYTES);
      const word = offset - (offset % 4);
      const view = new DataView(bytes.buffer);
      if (random.next() < 0.5) bytes[offset] = random.below(256);
      else
        view.setUint32(
          word,
          random.pick([0, 1, 2 ** 32 - 1, 2 ** 31, view.getUint32(word, true) + 1, random.below(SIZE / 8)]),
          true,
        );
    }
    t.notThrows(() => {
      if (exercise(bytes)) found++;
    }, `seed ${seed}, round ${i}`);
  }
  t.log(`seed ${seed}: ${rounds} damaged images, ${found} found to be`);
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
  for (let offset = 0; offset < at.checksum + 4; offset++) {
    if ((offset >= at.owner && offset < at.owner + 8) || (offset >= at.fingerprint + 16 && offset < at.name))
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
