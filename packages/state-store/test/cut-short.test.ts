// docs/troubleshooting.md, "Ended by SIGBUS": what it says happens when a store's file is cut while a process has it mapped.
import {once} from 'node:events';
import {copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, truncateSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {openStore, readStore, t as ty} from '../src/index.js';
import {startAndGreet} from './helpers/child.js';

const schema = {n: ty.uint};

async function toucher(t: ExecutionContext) {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-cut-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const path = join(folder, 'store');
  const {child} = await startAndGreet('toucher.ts', path);
  t.teardown(() => child.kill('SIGKILL'));
  const touch = async () => {
    const ended = once(child, 'exit');
    child.stdin!.end('touch\n');
    return ended;
  };
  return {path, touch};
}

test('a process that touches what was cut off ends by SIGBUS; the next one is refused and nothing is written', async t => {
  const {path, touch} = await toucher(t);
  truncateSync(path, 2 ** 19);
  t.deepEqual(await touch(), [null, 'SIGBUS']);
  const left = readFileSync(path);
  const place = {name: 'touched', backend: 'file', path} as const;
  const refused = {
    code: 'ERR_CORRUPT',
    message: /says 1048576 bytes but the segment has 524288; it was cut short/,
  };
  await t.throwsAsync(openStore({...place, schema}), refused);
  await t.throwsAsync(readStore(place), refused);
  t.deepEqual(readFileSync(path), left);
});

test('one that is replaced by a rename is no loss to those who have the old one open', async t => {
  const {path, touch} = await toucher(t);
  copyFileSync(path, `${path}.copy`);
  truncateSync(`${path}.copy`, 2 ** 19);
  renameSync(`${path}.copy`, path);
  t.deepEqual(await touch(), [0, null]);
  t.is(statSync(path).size, 2 ** 19);
});
