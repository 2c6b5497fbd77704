/**
 * What a supervisor says is there to be read, whole lines, in order, each once, while it is written and beyond the bound of its size; a disk that
 * takes nothing ends nobody.
 *
 * To see it fail: let LogReader go on in the old file when there is a new one.
 */
import {mkdirSync, mkdtempSync, readdirSync, rmSync, statSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {Log, LogReader} from '../src/control/log.js';
import {runDir} from '../src/control/run-dir.js';

const root = mkdtempSync(join(tmpdir(), 'zlr-log-'));
process.env['ZLR_RUN_DIR'] = root;
test.after.always(() => rmSync(root, {recursive: true}));

function folder(name: string) {
  const dir = runDir(name);
  mkdirSync(dir.path, {mode: 0o700});
  return dir;
}

test('a reader has every line once, over many changes of the file', t => {
  const dir = folder('many');
  const log = new Log(dir);
  const reader = new LogReader('many');
  t.deepEqual(reader.read(), []);
  const padding = 'é'.repeat(500);
  let expected = 0;
  for (let written = 0; written < 2_000; ) {
    for (const end = written + 100; written < end; written++) log.write(`${written} ${padding}`);
    log.flush();
    for (const {text} of reader.read()) t.is(text, `${expected++} ${padding}`);
  }
  t.is(expected, 2_000);
  reader.close();
  t.deepEqual(readdirSync(dir.path).sort(), ['log.jsonl', 'log.jsonl.1']);
  for (const file of ['log.jsonl', 'log.jsonl.1']) t.true(statSync(join(dir.path, file)).size < 400_000);

  const late = new LogReader('many');
  const found = late.read().map(({text}) => Number.parseInt(text, 10));
  late.close();
  t.true(found.length >= 250, '256 KB at least');
  t.deepEqual(
    found,
    Array.from({length: found.length}, (_, i) => 2_000 - found.length + i),
  );
});

test('who watches is told of lines, and of the end', async t => {
  const dir = folder('watched');
  const log = new Log(dir);
  log.write('one');
  log.flush();
  const reader = new LogReader('watched');
  const lines = reader.read().map(({text}) => text);
  const ended = new Promise<void>(gone => {
    reader.watch(() => {
      for (const {text} of reader.read()) lines.push(text);
      if (lines.at(-1) === 'two') rmSync(dir.path, {recursive: true, force: true});
    }, gone);
  });
  log.write('two');
  log.flush();
  await ended;
  t.deepEqual(lines, ['one', 'two']);
});

test('where nothing can be written, nothing happens', t => {
  const log = new Log(runDir('nowhere'));
  log.write('lost');
  t.notThrows(() => log.flush());
});
