// Runs when npm installs the package: the addon that is carried for this platform and C library is used, and where there is
// none, it is compiled. An install never fails here; what needs the addon says what to do when it is first used.
import {spawnSync} from 'node:child_process';
import {existsSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

async function isThere() {
  try {
    const {native} = await import('../dist/native.js');
    native();
    return true;
  } catch {
    return false; // in a checkout there may be no dist yet, either
  }
}

if (!(await isThere())) {
  const prefix = dirname(dirname(process.execPath));
  // node-gyp would download the headers that most Nodes bring with them.
  const own = existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
  const gyp = process.env['npm_config_node_gyp'];
  const [command, args] = gyp ? [process.execPath, [gyp]] : ['node-gyp', []];
  const made = spawnSync(command, [...args, 'rebuild', ...own], {cwd: root, stdio: ['ignore', 2, 2]});
  if (made.status !== 0)
    console.error(
      `@zlr/kernel-shim: no addon is carried for linux-${process.arch} with this C library, and it could not be compiled. ` +
        'Install a C compiler, make and python3 (Debian: gcc make python3; Alpine: build-base linux-headers python3), ' +
        'then: npm rebuild @zlr/kernel-shim',
    );
}
