// The other Nodes that the packages are built for and tried on. scripts/nodes/package.json names them: the oldest release of
// each line that `engines` names, the newest of the last one.
import {existsSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {PNPM, runQuietly, toolEnvironment} from './run-quietly.mjs';

const folder = fileURLToPath(new URL('nodes', import.meta.url));
/** @type {Record<string, string>} */
const named = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).optionalDependencies;

/** Major versions, the oldest first. */
export const MAJORS = Object.keys(named).map(name => name.replace('node-', ''));

/**
 * @param {string} major one of MAJORS
 * @returns {Promise<string>} its prefix: bin/node and include/node are below it
 */
export async function nodePrefix(major) {
  if (!MAJORS.includes(major)) throw new RangeError(`node ${major}: expected one of ${MAJORS.join(', ')}`);
  const prefix = join(folder, 'node_modules', `node-${major}`);
  const wanted = /** @type {string} */ (named[`node-${major}`]).split('@').at(-1);
  const has = () =>
    existsSync(join(prefix, 'package.json')) &&
    JSON.parse(readFileSync(join(prefix, 'package.json'), 'utf8')).version.replace('v', '') === wanted;
  if (!has()) {
    const env = toolEnvironment(process.env, prefix);
    // A workspace of its own: whoever only wants to build and test under the Node he has, needs none of these.
    const install = ['-y', PNPM, 'install', '--frozen-lockfile', '--ignore-workspace'];
    await runQuietly('npx', install, {cwd: folder, env});
    if (!has())
      throw new Error(`node ${wanted} comes from npm for Linux on x64 only, not for ${process.arch}`);
  }
  return prefix;
}

/**
 * The Node of `--node MAJOR` among the arguments of a command, with the modules of the store's backends made for it; without
 * it, the one that runs.
 * @param {readonly string[]} args
 * @returns {Promise<{execPath: string, rest: string[]}>}
 */
export async function chosenNode(args) {
  const at = args.indexOf('--node');
  if (at === -1) return {execPath: process.execPath, rest: [...args]};
  const major = args[at + 1] ?? '';
  const prefix = await nodePrefix(major);
  const prebuild = fileURLToPath(new URL('../packages/state-store/scripts/prebuild.mjs', import.meta.url));
  await runQuietly(process.execPath, [prebuild, '--node', major], {cwd: folder, env: process.env});
  return {execPath: join(prefix, 'bin/node'), rest: args.toSpliced(at, 2)};
}
