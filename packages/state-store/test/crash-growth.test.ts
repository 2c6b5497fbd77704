// A file that grows is changed where it lies: cut off after every single store of it, it opens and holds what it held.
import test from 'ava';
import type {Backing} from '../src/backends/backing.js';
import {ThreadSeats} from '../src/backends/thread-seats.js';
import {t as ty} from '../src/index.js';
import {enter} from '../src/opening/enter.js';
import {Struct} from '../src/schema/struct.js';
import {at} from '../src/segment/header.js';
import {Memory} from '../src/segment/memory.js';
import {Tenure} from '../src/segment/tenure.js';
import {openBytes, Recorder} from './helpers/recorder.js';

const SIZE = 64 * 1024;
const schema = {texts: ty.map(ty.u32, ty.string()), rows: ty.list(ty.u32)};

let count = 0;

/** A store in the first half of `file`, which is there in full, as after the growing of a file. */
function openGrowing(file: Uint8Array, memory: Memory, maxSize: number | undefined) {
  const where = `file ${count++} that grows`;
  const tenure = new Tenure(new ThreadSeats(memory));
  tenure.alone();
  const backing = (bytes: Uint8Array): Backing => ({
    kind: 'file',
    bytes,
    created: bytes.every(byte => byte === 0),
    place: where,
    where,
    tenure,
    writable: true,
    bell: {ring() {}, listen: () => () => {}, remove() {}},
    address: () => 0n,
    abandoned: () => true,
    appear() {},
    blank: () => {
      throw new Error('not rebuilt here');
    },
    enlarge: size => backing(file.subarray(0, size)),
    replace() {},
    successor: () => backing(file),
    detach() {},
    destroy() {},
  });
  return enter(backing(memory.u8), 'bytes', new Struct('Root', schema), {logSize: '8KB', maxSize, memory});
}

test('every prefix of the stores of a growth opens, for writers and for readers', t => {
  const recorder = new Recorder(SIZE * 2);
  recorder.memory.attach(recorder.bytes.subarray(0, SIZE));
  const store = openGrowing(recorder.bytes, recorder.memory, SIZE * 2);
  const {texts, rows} = store.root;
  const text = (i: number) => `${i} `.repeat(60);
  for (let i = 0; i < 100; i++) rows.push(i);
  let written = 0;
  let image = recorder.bytes.slice();
  recorder.start();
  for (let stores = recorder.stop(); ; stores = recorder.stop()) {
    if (store.info().size > SIZE) {
      // The last step made it grow.
      let doubted = 0;
      for (let cut = 0; cut <= stores.length; cut++) {
        const where = `cut after store ${cut} of ${stores.length}`;
        const grown = image.slice();
        const {length} = [...openBytes(grown.slice(), schema).root.texts];
        t.true(length === written || length === written - 1, where);
        const before = new Memory(image.slice());
        const copy = openGrowing(before.u8, before, SIZE * 2);
        if (copy.info().recovered > 0) doubted++;
        t.deepEqual(copy.check().problems, [], where);
        t.deepEqual(
          [...copy.root.rows],
          Array.from({length: 100}, (_, i) => i),
        );
        for (const [i, value] of copy.root.texts) t.is(value, text(i));
        // What was left of the room is there for it, and no more.
        copy.root.texts.set(1_000_000, 'x'.repeat(20_000));
        t.deepEqual(copy.check().problems, [], where);
        t.is(copy.info().size, SIZE * 2);
        copy.close();
        const change = stores[cut];
        if (change) image.set(change.bytes, change.offset);
      }
      t.true(doubted > 0);
      return;
    }
    image = recorder.bytes.slice();
    recorder.start();
    texts.set(written, text(written));
    written++;
  }
});

test('a store that is full to its last cell grows, and one that cannot stays as it was', t => {
  for (const last of [0, 1, 2, 3]) {
    const file = new Uint8Array(SIZE * 2);
    const memory = new Memory(file.subarray(0, SIZE));
    const store = openGrowing(file, memory, SIZE * 2);
    const {texts, rows} = store.root;
    for (let i = 0; i < 100; i++) rows.push(i);
    const room = () => memory.u32[at.heapLimit / 4]! - memory.u32[at.heapTop / 4]!;
    let key = 0;
    for (; room() > 200; key++) texts.set(key, 'x'.repeat(1000));
    for (; room() > 40; key++) texts.set(key, 'x'.repeat(200));
    for (; room() > 8 + last; key++) texts.set(key, 'x'.repeat(16));
    while (room() > 2) texts.set(key++, 'x'.repeat(Math.min(room() - 2, 7) * 8));
    t.is(memory.byteLength, SIZE, 'not yet');
    for (let i = 0; i < 10; i++) texts.set(key++, 'y'.repeat(1000));
    t.is(store.info().size, SIZE * 2);
    t.deepEqual(store.check().problems, []);
    t.is(texts.size, key);
    store.close();
  }
  // A library of before went to the last cell.
  const file = new Uint8Array(SIZE * 2);
  const memory = new Memory(file.subarray(0, SIZE));
  const store = openGrowing(file, memory, SIZE * 2);
  for (let i = 0; i < 100; i++) store.root.rows.push(i);
  memory.u32[at.heapLimit / 4] = memory.u32[at.heapTop / 4]!;
  for (let i = 0; i < 2; i++)
    t.throws(() => store.root.texts.set(1, 'y'.repeat(1000)), {
      code: 'ERR_FULL',
      message: /to its last cell/,
    });
  store.root.rows.pop();
  t.is(store.root.rows.size, 99);
  t.is(memory.u32[at.logHead / 4], memory.u32[at.logTail / 4], 'no transaction is left open');
  store.close();
});
