// What a machine must have before anything can be installed or built, and the one line that says how to get it.
import {existsSync} from 'node:fs';
import {delimiter, dirname, join} from 'node:path';

/**
 * The facts about a machine that decide; a test describes machines that it does not have.
 * @typedef {object} Machine
 * @property {string} nodeVersion without the leading v
 * @property {string} execPath
 * @property {boolean} nodeShared Debian builds node against libnode.so and ships the headers in libnode-dev;
 *   every other build ships them with node itself
 * @property {boolean} root
 * @property {(path: string) => boolean} exists
 * @property {(command: string) => boolean} has whether the PATH leads to the command
 */

/** The prefix whose include/node holds the headers of the running node; node-gyp and pnpm are told of it, because
 * they would otherwise download them. */
export const headersPrefix = (/** @type {string} */ execPath) => dirname(dirname(execPath));

/** @returns {boolean} whether `version` is at least `minimum`, both as dotted numbers */
export function atLeast(/** @type {string} */ version, /** @type {string} */ minimum) {
  const have = version.split('.').map(Number);
  for (const [index, want] of minimum.split('.').map(Number).entries()) {
    const number = have[index] ?? 0;
    if (number !== want) return number > want;
  }
  return true;
}

/**
 * @param {Machine} machine
 * @param {string} minimumNode
 * @returns {string | null} null if nothing is missing, else the line to print
 */
export function complaint(machine, minimumNode) {
  if (!atLeast(machine.nodeVersion, minimumNode)) {
    return `node ${machine.nodeVersion} (${machine.execPath}) is too old: zlr needs node ${minimumNode} or later`;
  }
  const missing = [];
  const wanted = /** @type {const} */ ([
    ['a C++ compiler', 'g++', 'g++'],
    ['make', 'make', 'make'],
    ['python3', 'python3', 'python3'],
    ['npx', 'npx', 'npm'],
  ]);
  for (const [what, command, debianPackage] of wanted) {
    if (!machine.has(command)) missing.push({what, debianPackage});
  }
  const headers = join(headersPrefix(machine.execPath), 'include', 'node', 'node_api.h');
  if (!machine.exists(headers)) {
    missing.push({
      what: `node's headers (${headers})`,
      debianPackage: machine.nodeShared ? 'libnode-dev' : '--reinstall nodejs',
    });
  }
  if (missing.length === 0) return null;
  const packages = missing.map(each => each.debianPackage).join(' ');
  const install = `${machine.root ? '' : 'sudo '}apt-get install -y ${packages}`;
  return `missing: ${missing.map(each => each.what).join(', ')}; run: ${install}`;
}

// gyp wrote its booleans as true or as 'true', by version.
const isSharedBuild = (/** @type {Record<string, unknown>} */ variables) =>
  String(variables['node_shared']) === 'true';

/** @returns {Machine} */
export function thisMachine() {
  const folders = (process.env['PATH'] ?? '').split(delimiter);
  return {
    nodeVersion: process.versions.node,
    execPath: process.execPath,
    nodeShared: isSharedBuild(process.config.variables),
    root: process.getuid?.() === 0,
    exists: existsSync,
    has: command => folders.some(folder => existsSync(join(folder, command))),
  };
}
