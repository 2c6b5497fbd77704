import {createRequire} from 'node:module';
import {fileURLToPath} from 'node:url';

/**
 * Loads a compiled module of a backend: the one npm compiled when it installed this package, else the copy the package
 * carries for this very ABI of Node; see docs/decisions/store-packaging.md.
 */
export function loadCompiled(name: 'shm-typed-array' | 'mmap-io'): unknown {
  const require = createRequire(import.meta.url);
  try {
    return require(name);
  } catch (error) {
    const build = `${process.platform}-${process.arch}-${process.versions.modules}`;
    try {
      return require(fileURLToPath(new URL(`../../prebuilds/${build}/${name}`, import.meta.url)));
    } catch {
      throw error;
    }
  }
}
