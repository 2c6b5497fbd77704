// Runs every package's tests; the last line printed is the counts. Arguments select test files, `--node 24` another Node.
// Where this user may, the run has an IPC namespace of its own: docs/decisions/test-runs.md says why.
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {readlinkSync} from 'node:fs';
import {constants} from 'node:os';
import {delimiter, dirname} from 'node:path';
import {fileURLToPath} from 'node:url';
import {chosenNode} from './nodes.mjs';

/** Root needs no user namespace: in one that maps root alone, tests that become another user would fail. */
const UNSHARE = process.getuid?.() === 0 ? ['unshare', '--ipc'] : ['unshare', '--map-current-user', '--ipc'];

/** @param {readonly string[]} command */
function works([file = '', ...args]) {
  return spawnSync(file, args, {stdio: 'ignore'}).status === 0;
}

const run = fileURLToPath(new URL('test-run.mjs', import.meta.url));
const {execPath, rest} = await chosenNode(process.argv.slice(2));
const node = [execPath, run, readlinkSync('/proc/self/ns/ipc'), ...rest];
const [file = '', ...args] = works([...UNSHARE, process.execPath, '--version'])
  ? [...UNSHARE, ...node]
  : node;
const path = `${dirname(execPath)}${delimiter}${process.env['PATH']}`; // for programs that start `node`
const child = spawn(file, args, {stdio: 'inherit', env: {...process.env, PATH: path}});
// The terminal sends Ctrl-C to the run as well.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => child.kill('SIGTERM'));
const [code, signal] = await once(child, 'exit');
process.exitCode = signal === null ? code : 128 + constants.signals[/** @type {NodeJS.Signals} */ (signal)];
