// Each case of the store bench runs as small as it can: all contenders must come to the same sum, and the JSON must
// have its shape. What was measured is not looked at: no figure of a shared machine may fail a test.
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';

const bench = fileURLToPath(new URL('../bench/run.mjs', import.meta.url));

interface Summary {
  median: number;
  min: number;
  max: number;
}
interface CaseResult {
  name: string;
  baseline: string;
  settings: {
    setting: string;
    checksum: number;
    contenders: {name: string; values: number[]; value: Summary; relative: Summary}[];
    goals: {text: string; atMost: number; measured: number; met: boolean}[];
  }[];
}
interface Result {
  bench: string;
  cases: CaseResult[];
}

async function run(...args: string[]): Promise<{code: number; out: string; err: string}> {
  const child = spawn(process.execPath, [bench, ...args], {stdio: ['ignore', 'pipe', 'pipe']});
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', text => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', text => {
    err += text;
  });
  const [code] = await once(child, 'close');
  return {code, out, err};
}

async function measure(t: ExecutionContext, name: string, seed = 7): Promise<CaseResult> {
  const {code, out, err} = await run(
    `store-${name}`,
    '--json',
    '--rounds',
    '1',
    '--seed',
    `${seed}`,
    '--small',
  );
  t.is(code, 0, err);
  const result = JSON.parse(out) as Result;
  t.like(result, {bench: 'store', rounds: 1, seed, small: true, machine: {node: process.version}});
  t.deepEqual(
    result.cases.map(each => each.name),
    [name],
  );
  return result.cases[0]!;
}

/** Contenders that each case must not lose. */
const CASES: Record<string, string[]> = {
  field: ['state-store, get(id)', 'structurae', 'typed-struct', 'flatbuffers', '@bnaya/objectbuffer'],
  scan: ['state-store, table.scan()', 'state-store, for ... of', 'typed arrays, by hand'],
  string: ['state-store, t.string()', 'Buffer, by hand'],
  transaction: ['state-store, transaction', 'lmdb transactionSync, objects'],
  table: ['state-store, each its own transaction', 'plain objects in an Array'],
  map: ['state-store', 'JS Map', 'lmdb'],
  open: ['state-store', 'lmdb', 'JSON.parse', 'v8.deserialize'],
  memory: ['state-store, capacity given', 'plain objects in an Array'],
  churn: ['state-store', 'plain objects'],
  together: ['state-store, records kept', 'plain objects in an Array'],
};

for (const [name, contenders] of Object.entries(CASES))
  test.serial(name, async t => {
    const {settings, baseline} = await measure(t, name);
    t.true(settings.length > 0);
    for (const {setting, checksum, contenders: measured, goals} of settings) {
      t.true(Number.isFinite(checksum), setting);
      const names = measured.map(each => each.name);
      t.true(names.includes(baseline), setting);
      for (const {name, values, value, relative} of measured) {
        const where = `${setting}, ${name}: ${JSON.stringify({value, relative})}`;
        t.is(values.length, 1, where);
        t.true(value.min > 0 && value.min <= value.median && value.median <= value.max, where);
        t.true(relative.median > 0, where);
      }
      for (const {measured, atMost, met} of goals) t.is(met, measured <= atMost);
    }
    const [first] = settings;
    const names = first!.contenders.map(each => each.name);
    for (const contender of contenders) t.true(names.includes(contender), contender);
  });

test.serial('the same seed gives the same sum, another one another', async t => {
  const sum = async (seed: number) => (await measure(t, 'table', seed)).settings[0]!.checksum;
  const first = await sum(7);
  t.is(await sum(7), first);
  t.not(await sum(8), first);
});

test.serial('a case that is not there', async t => {
  const {code, err} = await run('store-teapot');
  t.is(code, 2);
  t.regex(err, /'teapot' is not a case of this bench; it has field, /);
});
