/* The pages of who runs the thing: the unit of systemd is one to systemd, and no error code is without a word on it. */
import {execFile} from 'node:child_process';
import {mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

test('the page of errors has every code of every package, under its class, and no other', t => {
  const page = read('docs/troubleshooting.md');
  for (const name of readdirSync(join(root, 'packages'))) {
    const source = read(`packages/${name}/src/errors.ts`);
    const [, type] = /export class (\w+) extends Error/.exec(source)!;
    const union = /export type \w+ErrorCode =([\s\S]*?);/.exec(source)![1]!;
    const codes = [...union.replaceAll(/\/\/.*$/gm, '').matchAll(/'(\w+)'/g)].map(([, code]) => code);
    const section = page.split('\n## ').find(each => each.split('\n')[0]!.includes(`\`${type}\``));
    t.truthy(section, `docs/troubleshooting.md has a section on ${type}`);
    const told = [...section!.matchAll(/^\| `(\w+)` \|/gm)].map(([, code]) => code);
    t.deepEqual(told.toSorted(), codes.toSorted(), type);
  }
});

test('systemd takes the units of the page on deploying', async t => {
  const units = [
    ...read('docs/deploying.md').matchAll(/```ini\n# \/etc\/systemd\/system\/(\S+)\n([\s\S]*?)```/g),
  ];
  t.deepEqual(
    units.map(([, name]) => name),
    ['app.service', 'app.socket'],
  );
  // npx ends at SIGTERM before its child has: what is signalled must be the supervisor.
  t.notRegex(read('docs/deploying.md'), /^(ExecStart=|CMD ).*np[mx]/m);
  const folder = mkdtempSync(join(tmpdir(), 'zlr-unit-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  // The program and the user of the page are not on this machine, which is no fault of the units.
  for (const [, name, unit] of units)
    writeFileSync(
      join(folder, name!),
      unit!.replaceAll('/srv/app/node_modules/.bin/zlr', process.execPath).replace(/^User=.*$/m, ''),
    );
  const paths = units.map(([, name]) => join(folder, name!));
  const {stdout, stderr} = await promisify(execFile)('systemd-analyze', ['verify', ...paths]);
  t.is(stdout + stderr, '');
});
