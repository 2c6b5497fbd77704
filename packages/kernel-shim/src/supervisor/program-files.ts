import {existsSync, realpathSync} from 'node:fs';
import {readdir, stat} from 'node:fs/promises';
import {dirname, extname, join, resolve} from 'node:path';

const CODE: ReadonlySet<string> = new Set([
  '.js',
  '.mjs',
  '.cjs',
  '.ts',
  '.mts',
  '.cts',
  '.json',
  '.node',
  '.wasm',
]);
/** A program of more files is looked at as far as this: whoever waits for the answer must not wait long. */
const FILES_MAX = 5_000;
/** A file's times are those of the kernel's last tick. */
const TICK_MS = 10;

/** The code of a program: what its arguments name, and what lies in the same package but the packages that it uses. */
export class ProgramFiles {
  readonly #named: readonly string[];
  readonly #real: readonly (string | undefined)[];
  readonly #sinceMs = Date.now() - TICK_MS;

  /** As it is now. */
  constructor(argv: readonly string[]) {
    this.#named = argv.map(each => resolve(each)).filter(path => CODE.has(extname(path)));
    this.#real = this.#named.map(realPath);
  }

  /** Whether some of it was written, or another one was put in its place, since. */
  async haveChanged(): Promise<boolean> {
    if (this.#named.some((path, index) => realPath(path) !== this.#real[index])) return true;
    const roots = new Set(this.#real.flatMap(path => (path === undefined ? [] : packageOf(path))));
    const budget = {left: FILES_MAX};
    for (const root of roots) if (await this.#isNewer(root, budget)) return true;
    return false;
  }

  async #isNewer(folder: string, budget: {left: number}): Promise<boolean> {
    // A folder that vanishes while it is looked at has been changed, as one that cannot be read cannot have been loaded from.
    const entries = await readdir(folder, {withFileTypes: true}).catch(() => []);
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) {
        const isOthers = entry.name === 'node_modules' || entry.name.startsWith('.');
        if (!isOthers && (await this.#isNewer(path, budget))) return true;
      } else if (CODE.has(extname(entry.name))) {
        if (--budget.left < 0) return false;
        const found = await stat(path).catch(() => undefined);
        // The time of the inode's change cannot be set back, as archives do it with that of the contents.
        if (found && found.ctimeMs > this.#sinceMs) return true;
      }
    }
    return false;
  }
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined; // it is not there
  }
}

/** The folder with the package.json that is next above a file, or the file's own. */
function packageOf(file: string): string {
  const own = dirname(file);
  for (let folder = own; folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(join(folder, 'package.json'))) return folder;
  return own;
}
