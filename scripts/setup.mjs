// Makes a fresh checkout ready to run: dependencies, the native addon, the compiled packages. Does only what is not
// done yet, so everything may start with it.
import {existsSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {fingerprint, Stamps} from './fingerprint.mjs';
import {complaint, headersPrefix, thisMachine} from './requirements.mjs';
import {PNPM, runQuietly, ToolError, toolEnvironment} from './run-quietly.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const modules = join(root, 'node_modules');
const shim = join(root, 'packages/kernel-shim');
const store = join(root, 'packages/state-store');
const env = toolEnvironment(process.env, headersPrefix(process.execPath));
// A native addon is good for one ABI and one machine type.
const platform = [process.versions.modules, process.arch];
const packages = readdirSync(join(root, 'packages')).map(name => join('packages', name));

const say = (/** @type {string} */ text) => console.log(`setup: ${text}`);

/**
 * @param {string} text
 * @param {() => Promise<void>} work
 */
async function step(text, work) {
  say(`${text} ...`);
  const start = performance.now();
  await work();
  say(`${text}: done in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

/** shm-typed-array is compiled when it is installed. pnpm takes it for installed although its build is gone or was
 * made for another node, so what counts is whether it loads. */
async function checkSharedMemoryAddon() {
  const load = () => runQuietly(process.execPath, ['-e', "require('shm-typed-array')"], {cwd: store, env});
  try {
    await load();
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    await runQuietly('npx', ['-y', PNPM, 'rebuild', 'shm-typed-array'], {cwd: store, env});
    await load();
  }
}

/** tsc leaves what it made of a source that was moved or deleted since, and of older settings; it would be packed. */
function removeStaleOutputs() {
  for (const each of packages) {
    const dist = join(root, each, 'dist');
    if (!existsSync(dist)) continue;
    for (const entry of readdirSync(dist, {recursive: true, withFileTypes: true})) {
      const file = relative(dist, join(entry.parentPath, entry.name));
      if (entry.isDirectory() || file === '.tsbuildinfo') continue;
      const [, source] = /^(.*?)(?:\.d\.ts|\.js|\.js\.map)$/.exec(file) ?? [];
      if (source === undefined || !existsSync(join(root, each, 'src', `${source}.ts`)))
        rmSync(join(dist, file));
    }
  }
}

async function main() {
  const engines = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).engines.node;
  const [oldest] = /\d+\.\d+/.exec(engines) ?? [];
  const lack = complaint(thisMachine(), /** @type {string} */ (oldest));
  if (lack !== null) {
    console.error(`setup: ${lack}`);
    process.exitCode = 1;
    return;
  }
  const start = performance.now();
  const stamps = new Stamps(join(modules, '.zlr-setup.json'));

  const manifests = ['.', 'scripts/api-docs', ...packages].map(each => join(each, 'package.json'));
  const installed = fingerprint(
    root,
    ['pnpm-lock.yaml', 'pnpm-workspace.yaml', '.npmrc', 'patches', ...manifests],
    [PNPM, ...platform],
  );
  const shmAddon = join(store, 'node_modules/shm-typed-array/build/Release/shm.node');
  const addon = join(shim, 'build/Release/zlr.node');
  const compiled = fingerprint(
    root,
    ['packages/kernel-shim/binding.gyp', 'packages/kernel-shim/native', 'packages/kernel-shim/include'],
    platform,
  );
  if (!stamps.matches('install', installed) || !existsSync(shmAddon)) {
    await step('installing the dependencies', async () => {
      // pnpm builds every package that has a binding.gyp, ours too: if it is there again, that is done as well.
      rmSync(addon, {force: true});
      await runQuietly('npx', ['-y', PNPM, 'install', '--frozen-lockfile'], {cwd: root, env});
      await checkSharedMemoryAddon();
    });
    stamps.record('install', installed);
    if (existsSync(addon)) stamps.record('native', compiled);
  }

  if (!stamps.matches('native', compiled) || !existsSync(addon)) {
    await step('building the native addon', () =>
      runQuietly(join(modules, '.bin/node-gyp'), ['rebuild', '-j', 'max'], {cwd: shim, env}),
    );
    stamps.record('native', compiled);
  }

  removeStaleOutputs();
  await runQuietly(join(modules, '.bin/tsc'), ['-b'], {cwd: root, env});
  say(`ready in ${((performance.now() - start) / 1000).toFixed(1)} s`);
}

try {
  await main();
} catch (error) {
  if (!(error instanceof ToolError)) throw error;
  process.stderr.write(error.output);
  console.error(`setup: ${error.message}; what it printed is above`);
  process.exitCode = 1;
}
