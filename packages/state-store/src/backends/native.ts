import {existsSync} from 'node:fs';
// As a whole: a `createRequire` that is imported by name, webpack takes for its own.
import nodeModule from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {StoreError} from '../errors.js';
import {assertDescriptors, refusal} from './refusal.js';

type Compiled = 'shm-typed-array' | 'mmap-io';

// A bundler that makes CommonJS leaves import.meta empty. (In a module __filename may be another's: `node -e` sets it for all.)
const {url} = import.meta as {url?: string};
const here = url === undefined ? __filename : fileURLToPath(url);

/** The folder of this package; of a program made by a bundler, the package that is installed beside it; undefined: none. */
function packageFolder(): string | undefined {
  const require = nodeModule.createRequire(here);
  let folder = dirname(here);
  while (!existsSync(join(folder, 'package.json')) && folder !== dirname(folder)) folder = dirname(folder);
  try {
    const manifest = require(join(folder, 'package.json')) as {name?: string};
    if (manifest.name === '@zlr/state-store') return folder;
    return dirname(require.resolve('@zlr/state-store/package.json'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw refusal(error, folder);
    return undefined;
  }
}

/**
 * Loads a compiled module of a backend: the one npm compiled when it installed this package, else the copy the package
 * carries for this very ABI of Node; see docs/decisions/store-packaging.md.
 *
 * @param functions what it must have
 * @throws StoreError ERR_BACKEND, whose `cause` is what the loader of modules said, of each that was tried; ERR_LIMIT: no
 *   descriptor was left to load it by
 */
export function loadCompiled<M extends object>(
  backend: string,
  name: Compiled,
  functions: readonly (keyof M & string)[],
  remedy: string,
): M {
  const folder = packageFolder();
  const build = `${process.platform}-${process.arch}-${process.versions.modules}`;
  const carried = folder && join(folder, 'prebuilds', build, name);
  const failures: Error[] = [];
  const reasons: string[] = [];
  const attempt = (path: string, from: string): M | undefined => {
    try {
      const module = nodeModule.createRequire(from)(path) as M & {default?: M};
      const loaded = module.default ?? module;
      // Loaders of test runners give what a module had exported before it failed, when it is asked for again.
      const lacking = functions.find(each => typeof loaded[each] !== 'function');
      if (lacking !== undefined) throw new Error(`${path} has no function ${lacking}`);
      return loaded;
    } catch (error) {
      failures.push(error as Error);
      reasons.push((error as Error).message.split('\n')[0]!);
      return undefined;
    }
  };
  const loaded =
    attempt(name, folder ? join(folder, 'package.json') : here) ??
    (carried && existsSync(carried) ? attempt(carried, here) : undefined);
  if (loaded !== undefined) return loaded;
  for (const failure of failures) assertDescriptors(failure, `backend '${backend}'`);
  if (folder === undefined)
    reasons.push(
      `this package is bundled into ${here}: keep it external when you bundle (esbuild --external:@zlr/state-store), or install it beside the bundle`,
    );
  else if (failures.length === 1) reasons.push(`no copy is carried for ${build}`);
  const disabled = failures.some(each => (each as NodeJS.ErrnoException).code === 'ERR_DLOPEN_DISABLED');
  throw new StoreError(
    'ERR_BACKEND',
    `backend '${backend}' needs the compiled module ${name}, which did not load (${reasons.join('; ')}). ${disabled ? 'Start node without --no-addons' : remedy}, or use backend 'memory'.`,
    {cause: failures.length > 1 ? new AggregateError(failures, reasons.join('; ')) : failures[0]},
  );
}
