// Cuts a program off after every single store to the segment, recovers from each prefix, and expects to be at a step's
// boundary with nothing wrong in the structure. Bulk writes (fill, set, copyWithin, Buffer.write) are cut in their middle too.
import test from 'ava';
import {at} from '../src/segment/header.js';
import {UndoLog} from '../src/segment/undo-log.js';
import {canonical, emptyModel, type Model, modelOf, schema, step} from './helpers/program.js';
import {bytesOf, openBytes, Recorder} from './helpers/recorder.js';

const SIZE = 128 * 1024;

test('every prefix of the stores of every step recovers to a boundary', async t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const steps = Number(process.env['ZLR_CUT_STEPS'] ?? 12);
  let cuts = 0;
  let undone = 0;
  const recorder = new Recorder(SIZE);
  const store = openBytes(recorder.bytes, schema, recorder.memory);
  let model = emptyModel();
  for (let k = 0; k < steps; k++) {
    const before = canonical(model);
    const image = bytesOf(recorder.bytes);
    recorder.start();
    const next: Model = step(model, seed, store);
    const stores = recorder.stop();
    const after = canonical(next);
    // A step that throws ends with one plain store of the step number.
    for (let cut = 0; cut <= stores.length; cut++) {
      const copy = openBytes(new Uint8Array(image), schema);
      const where = `seed ${seed}, step ${next.step}, cut after store ${cut} of ${stores.length}`;
      t.deepEqual(copy.check().problems, [], where);
      const found = canonical(modelOf(copy));
      const expected = (found as {step: number}).step === next.step ? after : before;
      t.deepEqual(found, expected, where);
      if (copy.info().recovered > 0) undone++;
      copy.close();
      cuts++;
      const store = stores[cut];
      if (store) image.set(store.bytes, store.offset);
    }
    model = next;
  }
  t.true(undone > cuts / 2);
  t.log(`seed ${seed}: ${steps} steps cut off at ${cuts} places, ${undone} rolled back`);
});

test('without the undo log the same cuts do break the store', async t => {
  const recorder = new Recorder(SIZE);
  const store = openBytes(recorder.bytes, schema, recorder.memory);
  let model = emptyModel();
  for (let k = 0; k < 10; k++) model = step(model, 7, store);
  const image = bytesOf(recorder.bytes);
  recorder.start();
  const next = step(model, 7, store);
  const stores = recorder.stop();
  let broken = 0;
  const recover = UndoLog.prototype.recover;
  for (const cut of stores) {
    image.set(cut.bytes, cut.offset);
    UndoLog.prototype.recover = function (this: UndoLog) {
      const {u32} = this as unknown as {u32: Uint32Array};
      u32[at.logTail / 4] = u32[at.logHead / 4]!;
      this.reload();
      return 0;
    };
    try {
      const copy = openBytes(new Uint8Array(image), schema);
      const found = JSON.stringify(canonical(modelOf(copy)), (_, v) => (typeof v === 'bigint' ? `${v}` : v));
      const whole = [model, next].map(m =>
        JSON.stringify(canonical(m), (_, v) => (typeof v === 'bigint' ? `${v}` : v)),
      );
      if (!copy.check().ok || !whole.includes(found)) broken++;
    } catch {
      broken++;
    } finally {
      UndoLog.prototype.recover = recover;
    }
  }
  t.true(broken > 0);
});
