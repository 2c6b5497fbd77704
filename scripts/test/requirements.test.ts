import {spawnSync} from 'node:child_process';
import {mkdtempSync, rmSync, symlinkSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {atLeast, complaint} from '../requirements.mjs';

const complete = {
  nodeVersion: '20.20.2',
  execPath: '/usr/bin/node',
  nodeShared: false,
  root: true,
  exists: (path: string) => path === '/usr/include/node/node_api.h',
  has: () => true,
};

test('a complete machine has nothing to complain of', t => {
  t.is(complaint(complete, '20.11'), null);
});

test('the line names all that is missing and the command that gets it', t => {
  const has = (command: string) => command !== 'g++' && command !== 'python3';
  t.is(
    complaint({...complete, has}, '20.11'),
    'missing: a C++ compiler, python3; run: apt-get install -y g++ python3',
  );
});

test('an ordinary user is told to use sudo', t => {
  const has = (command: string) => command !== 'make';
  t.is(
    complaint({...complete, root: false, has}, '20.11'),
    'missing: make; run: sudo apt-get install -y make',
  );
});

test("absent headers: Debian's own node has them in libnode-dev, every other node brings them", t => {
  const none = {...complete, exists: () => false};
  const missing = "missing: node's headers (/usr/include/node/node_api.h); run:";
  t.is(complaint({...none, nodeShared: true}, '20.11'), `${missing} apt-get install -y libnode-dev`);
  t.is(complaint(none, '20.11'), `${missing} apt-get install -y --reinstall nodejs`);
});

test('the headers are looked for beside the node that runs', t => {
  const machine = {
    ...complete,
    execPath: '/opt/node/bin/node',
    exists: (path: string) => path === '/opt/node/include/node/node_api.h',
  };
  t.is(complaint(machine, '20.11'), null);
});

test('an old node is named with its path and the version that is needed', t => {
  t.is(
    complaint({...complete, nodeVersion: '18.20.4'}, '20.11'),
    'node 18.20.4 (/usr/bin/node) is too old: zlr needs node 20.11 or later',
  );
});

test('versions compare by number, not by text', t => {
  t.true(atLeast('20.11.0', '20.11'));
  t.true(atLeast('20.20.2', '20.11'));
  t.true(atLeast('21.0.0', '20.11'));
  t.false(atLeast('20.9.0', '20.11'));
  t.false(atLeast('9.99.0', '20.11'));
});

test('the set-up on a machine without a compiler says one line and exits with 1', t => {
  const bin = mkdtempSync(join(tmpdir(), 'zlr-path-'));
  t.teardown(() => rmSync(bin, {recursive: true}));
  for (const command of ['make', 'python3', 'npx']) symlinkSync('/bin/true', join(bin, command));
  const {status, stdout, stderr} = spawnSync(process.execPath, ['scripts/setup.mjs'], {
    env: {PATH: bin},
    encoding: 'utf8',
  });
  t.is(status, 1);
  t.is(stdout, '');
  t.regex(stderr, /^setup: missing: a C\+\+ compiler; run: (sudo )?apt-get install -y g\+\+\n$/);
});
