// The order of stages and what each call does with the record; what survives a fault is in kills.test.ts.
import {StagesError, stages} from '@zlr/stages';
import {openStore, struct, t as type} from '@zlr/state-store';
import test, {type ExecutionContext} from 'ava';
import fc from 'fast-check';

const NAMES = ['reading', 'processing', 'sending'] as const;
let nextNumber = 1;

async function openUnits(t: ExecutionContext) {
  const stage = stages(...NAMES);
  const Unit = struct('Unit', {stage: stage.field, value: type.u32});
  const store = await openStore({
    name: `stages-test-${process.pid}-${nextNumber++}`,
    backend: 'memory',
    size: '1MB',
    schema: {done: type.u32, units: type.table(Unit, {capacity: 16})},
  });
  t.teardown(() => store.destroy());
  return {stage, store, root: store.root};
}

test('a fresh unit is at the first stage', async t => {
  const {root} = await openUnits(t);
  t.is(root.units.insert({}).stage, 'reading');
});

test('a unit goes on by one stage, or back to the first; to enter its stage again is another try', async t => {
  const {stage, root} = await openUnits(t);
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...NAMES)), wanted => {
      const unit = root.units.insert({});
      for (const to of wanted) {
        const from = unit.stage;
        const next = NAMES[NAMES.indexOf(from) + 1];
        if (to === from) t.true(stage.enter(unit, to));
        else if (to === 'reading' || to === next) t.false(stage.enter(unit, to));
        else {
          const error = t.throws(() => stage.enter(unit, to), {instanceOf: StagesError});
          t.is(error.code, 'STAGE_ORDER');
          t.is(unit.stage, from, 'nothing is recorded');
          continue;
        }
        t.is(unit.stage, to);
      }
      root.units.remove(unit);
    }),
  );
});

test('an error of order says what was expected', async t => {
  const {stage, root} = await openUnits(t);
  const unit = root.units.insert({});
  t.throws(() => stage.enter(unit, 'sending'), {
    message:
      "a unit at stage 'reading' cannot enter 'sending'; expected 'processing' or, when it is done, 'reading'",
  });
  stage.enter(unit, 'processing');
  stage.enter(unit, 'sending');
  t.throws(() => stage.enter(unit, 'processing'), {
    message: "a unit at stage 'sending' cannot enter 'processing'; expected 'reading'",
  });
});

test('two stages of one name are refused', t => {
  const error = t.throws(() => stages('a', 'b', 'a'), {instanceOf: StagesError});
  t.is(error.code, 'STAGES_INVALID');
  t.regex(error.message, /stages\(a, b, a\)/);
});

test('the census counts the units at each stage, none as 0', async t => {
  const {stage, root} = await openUnits(t);
  t.deepEqual(stage.census(root.units), {reading: 0, processing: 0, sending: 0});
  root.units.insert({});
  stage.enter(root.units.insert({}), 'processing');
  stage.enter(root.units.insert({}), 'processing');
  t.deepEqual(stage.census(root.units), {reading: 1, processing: 2, sending: 0});
});

test('run does the steps from the recorded stage on, in order, and then says that it is done', async t => {
  const {stage, store, root} = await openUnits(t);
  for (const [index, from] of NAMES.entries()) {
    const unit = root.units.insert({stage: from});
    const seen: string[] = [];
    await stage.run(
      store,
      unit,
      {
        reading: ({stage}) => void seen.push(`reading at ${stage}`),
        processing: async ({stage}) => void seen.push(`processing at ${stage}`),
        sending:
          ({stage}) =>
          () =>
            void seen.push(`sending at ${stage}`),
      },
      record => {
        seen.push('done');
        root.units.remove(record);
      },
    );
    t.deepEqual(seen, [...NAMES.slice(index).map(name => `${name} at ${name}`), 'done']);
    t.is(root.units.size, 0);
  }
});

test('the results of a step and the next stage are one: a throw between them undoes both', async t => {
  const {stage, store, root} = await openUnits(t);
  const unit = root.units.insert({});
  const steps = (fails: boolean) => ({
    reading: () => undefined,
    processing: async () => () => {
      unit.value++;
      if (fails) throw new Error('while it was recorded');
    },
    sending: () => () => {
      unit.value += 10;
    },
  });
  const done = (): void => {
    root.done++;
  };
  await t.throwsAsync(stage.run(store, unit, steps(true), done), {message: 'while it was recorded'});
  t.is(unit.value, 0);
  t.is(unit.stage, 'processing');
  await stage.run(store, unit, steps(false), done);
  t.is(unit.value, 11);
  t.is(root.done, 1);
});

test('names, steps and records that are none are refused before anything is done, promises that would write late are undone', async t => {
  const {stage, store, root} = await openUnits(t);
  const invalid = {instanceOf: StagesError, code: 'STAGES_INVALID'} as const;
  for (const names of [[], [['a', 'b']], [''], [1], ['a', 'a']])
    t.throws(() => stages(...(names as never)), invalid);
  const unit = root.units.insert({});
  const nothing = () => undefined;
  const steps = {reading: nothing, processing: nothing, sending: nothing};
  const run = (...args: unknown[]) => stage.run(...(args as Parameters<typeof stage.run>));
  await t.throwsAsync(run(store, unit, {...steps, sending: undefined}, nothing), invalid);
  await t.throwsAsync(run(store, unit, {...steps, sned: nothing}, nothing), invalid);
  await t.throwsAsync(run(store, unit, steps), invalid);
  await t.throwsAsync(run(store, {}, steps, nothing), invalid);
  t.throws(() => stage.enter({stage: 'no'} as never, 'sending'), invalid);
  const late = async () => {
    unit.value = 9;
  };
  await t.throwsAsync(run(store, unit, {...steps, reading: () => 5}, nothing), invalid);
  await t.throwsAsync(run(store, unit, {...steps, reading: () => late}, nothing), invalid);
  await t.throwsAsync(run(store, unit, steps, late), invalid);
  t.is(unit.value, 0);
  t.is(unit.stage, 'sending'); // the last one had only `done` wrong
});

test('what the last step records and what done does are one, too', async t => {
  const {stage, store, root} = await openUnits(t);
  const unit = root.units.insert({stage: 'sending'});
  const sending = () => () => {
    unit.value++;
  };
  const steps = {reading: () => undefined, processing: () => undefined, sending};
  await t.throwsAsync(
    stage.run(store, unit, steps, () => {
      throw new Error('at the end');
    }),
    {message: 'at the end'},
  );
  t.is(unit.value, 0);
  t.is(unit.stage, 'sending');
});
