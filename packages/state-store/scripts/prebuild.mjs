// Copies the compiled modules of the backends into prebuilds/, which `npm pack` puts into the package. Both are bound to V8
// and thus to one ABI of Node, so their folder is named by it; those of other ABIs stay beside it.
import {cpSync, mkdirSync, renameSync, rmSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(join(root, 'package.json'));
const target = join(root, 'prebuilds', `${process.platform}-${process.arch}-${process.versions.modules}`);
const draft = `${target}.${process.pid}`;

/** What each needs to be loaded, and its licence. */
const carried = {
  'shm-typed-array': ['package.json', 'LICENSE', 'index.js', 'build/Release/shm.node'],
  'mmap-io': ['package.json', 'LICENSE', 'mmap-io.js', 'dist/mmap-io.js', 'build/Release/mmap-io.node'],
};

try {
  for (const [name, files] of Object.entries(carried)) {
    const from = dirname(require.resolve(`${name}/package.json`));
    for (const file of files) {
      mkdirSync(dirname(join(draft, name, file)), {recursive: true});
      cpSync(join(from, file), join(draft, name, file));
    }
    require(join(draft, name)); // nothing is packed that does not load
  }
  rmSync(target, {recursive: true, force: true});
  renameSync(draft, target);
} finally {
  rmSync(draft, {recursive: true, force: true});
}
