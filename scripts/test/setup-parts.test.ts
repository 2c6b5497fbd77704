import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {fingerprint, Stamps} from '../fingerprint.mjs';
import {runQuietly, ToolError, toolEnvironment} from '../run-quietly.mjs';

function scratch() {
  const path = mkdtempSync(join(tmpdir(), 'zlr-setup-'));
  return {path, remove: () => rmSync(path, {recursive: true})};
}

test('a fingerprint changes with content, names, absence and facts, and with nothing else', t => {
  const {path, remove} = scratch();
  t.teardown(remove);
  mkdirSync(join(path, 'native'));
  writeFileSync(join(path, 'native/a.c'), 'one');
  const now = (facts: string[] = []) => fingerprint(path, ['native', 'binding.gyp'], facts);
  const seen = [now()];
  t.is(now(), seen[0]!);

  seen.push(now(['abi 115']));
  writeFileSync(join(path, 'native/a.c'), 'two');
  seen.push(now());
  writeFileSync(join(path, 'native/b.c'), '');
  seen.push(now());
  writeFileSync(join(path, 'binding.gyp'), '{}');
  seen.push(now());
  t.is(new Set(seen).size, seen.length);
});

test('a step counts as done only with the stamp it was done with, also for the next process', t => {
  const {path, remove} = scratch();
  t.teardown(remove);
  const file = join(path, 'stamps.json');
  const stamps = new Stamps(file);
  t.false(stamps.matches('native', 'x'));
  stamps.record('native', 'x');
  stamps.record('install', 'y');
  const later = new Stamps(file);
  t.true(later.matches('native', 'x'));
  t.true(later.matches('install', 'y'));
  t.false(later.matches('native', 'z'));
});

test("npm's settings for its own script do not reach the tools, the way to the registry does", t => {
  const outer = {
    PATH: '/bin',
    HOME: '/home/x',
    NODE_ENV: 'production',
    INIT_CWD: '/elsewhere',
    npm_config_prefix: '/usr',
    npm_config_node_gyp: '/usr/lib/node-gyp.js',
    npm_config_omit: 'dev',
    npm_package_name: 'zlr',
    npm_config_registry: 'https://registry.example/',
    npm_config_cafile: '/etc/ca.crt',
    npm_config_noproxy: '',
  };
  t.deepEqual(toolEnvironment(outer, '/opt/node'), {
    PATH: '/bin',
    HOME: '/home/x',
    npm_config_registry: 'https://registry.example/',
    npm_config_cafile: '/etc/ca.crt',
    CI: 'true',
    npm_config_nodedir: '/opt/node',
  });
});

test('a tool that fails is reported with its exit code and all that it printed', async t => {
  const script =
    'process.stdout.write("out\\n", () => process.stderr.write("err\\n", () => process.exit(3)))';
  const run = runQuietly(process.execPath, ['-e', script], {cwd: '.', env: process.env});
  const error = await t.throwsAsync(run, {instanceOf: ToolError, code: 'TOOL_FAILED'});
  t.regex(error!.message, /failed with exit code 3$/);
  t.deepEqual(error!.output.trim().split('\n').sort(), ['err', 'out']);
});

test('a tool that is ended by a signal, or is not there, is reported as such', async t => {
  const options = {cwd: '.', env: process.env};
  const killed = runQuietly(process.execPath, ['-e', 'process.kill(process.pid, "SIGKILL")'], options);
  await t.throwsAsync(killed, {instanceOf: ToolError, message: /was ended by SIGKILL$/});
  const absent = runQuietly('/nowhere/tool', [], options);
  await t.throwsAsync(absent, {instanceOf: ToolError, message: /could not be started: .*ENOENT/});
});
