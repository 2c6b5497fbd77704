// Runs a tool without its chatter: what it printed is shown whole if it fails, and not at all otherwise.
import {spawn} from 'node:child_process';

/** The one package manager of this repository, as npx gets it. */
export const PNPM = 'pnpm@10.34.8';

export class ToolError extends Error {
  code = 'TOOL_FAILED';
  /**
   * @param {string} command
   * @param {string} how
   * @param {string} output
   */
  constructor(command, how, output) {
    super(`${command} ${how}`);
    this.output = output;
  }
}

/**
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{cwd: string, env: NodeJS.ProcessEnv}} options
 * @returns {Promise<void>} rejects with a ToolError
 */
export function runQuietly(command, args, {cwd, env}) {
  const line = [command, ...args].join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {cwd, env, stdio: ['ignore', 'pipe', 'pipe']});
    /** @type {Buffer[]} */
    const output = [];
    child.stdout.on('data', chunk => output.push(chunk));
    child.stderr.on('data', chunk => output.push(chunk));
    child.on('error', error => reject(new ToolError(line, `could not be started: ${error.message}`, '')));
    child.on('close', (exitCode, signal) => {
      if (exitCode === 0) return resolve();
      const how = signal === null ? `failed with exit code ${exitCode}` : `was ended by ${signal}`;
      reject(new ToolError(line, how, Buffer.concat(output).toString()));
    });
  });
}

// What a user may have said to npm about the way to the registry; pnpm and node-gyp read the same variables.
const REGISTRY_SETTINGS = new Set(
  [
    'registry',
    'proxy',
    'https_proxy',
    'noproxy',
    'no_proxy',
    'ca',
    'cafile',
    'strict_ssl',
    'cache',
    'userconfig',
  ].map(name => `npm_config_${name}`),
);

/**
 * npm tells its scripts its own settings in npm_* variables (its prefix, its node-gyp, its flags), and pnpm and
 * node-gyp would take them for the user's orders; NODE_ENV=production would leave out the compiler.
 * @param {NodeJS.ProcessEnv} outer
 * @param {string} nodedir where include/node is
 * @returns {NodeJS.ProcessEnv}
 */
export function toolEnvironment(outer, nodedir) {
  /** @type {NodeJS.ProcessEnv} */
  const env = {};
  for (const [name, value] of Object.entries(outer)) {
    const isNpms = name === 'NODE_ENV' || name === 'INIT_CWD' || name.toLowerCase().startsWith('npm_');
    const isRegistry = REGISTRY_SETTINGS.has(name.toLowerCase()) && value !== '';
    if (!isNpms || isRegistry) env[name] = value;
  }
  // CI: pnpm asks no question, terminal or not.
  return {...env, CI: 'true', npm_config_nodedir: nodedir};
}
