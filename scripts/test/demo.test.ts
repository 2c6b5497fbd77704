// The whole demo, as a user runs it.
import {spawnSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import test from 'ava';

test('the demo holds: six faults and a restart, each classified, each survived, each drawn', t => {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-demo-test-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const {status, stdout, stderr} = spawnSync(process.execPath, [resolve('scripts/demo.mjs')], {
    cwd: folder,
    encoding: 'utf8',
  });
  t.is(stderr, '');
  t.is(status, 0);
  const row = (title: string, fault: string, generations: string) =>
    new RegExp(`^${title} +${fault} +${generations} +\\d+ +[\\d,]+ +[\\d,]+ +\\d+ ms +\\d+ ms +equal$`, 'm');
  t.regex(stdout, row('SIGSEGV during a download', 'signal SIGSEGV', '1 -> 2'));
  t.regex(stdout, row('SIGKILL during a download', 'signal SIGKILL', '2 -> 3'));
  t.regex(stdout, row('Uncaught exception during a download', 'exit 1', '3 -> 4'));
  t.regex(stdout, row('SIGKILL in the middle of a request', 'signal SIGKILL', '4 -> 5'));
  t.regex(stdout, row('zlr restart during a download', 'restart SIGKILL', '5 -> 6'));
  t.regex(stdout, row('SIGKILL with a standby', 'signal SIGKILL', '1 -> 2'));
  t.regex(stdout, row('SIGKILL of an unchanged Express program', 'signal SIGKILL', '1 -> 2'));
  const svg = readFileSync(join(folder, 'out/demo.svg'), 'utf8');
  t.is(svg.match(/longest gap \d+ ms/g)?.length, 7);
});
