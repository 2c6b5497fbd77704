// Runs the guest's tests on a kernel that looks for errors in memory (KASAN), in locks (lockdep) and for memory that is forgotten
// (kmemleak). Debian has none ready: it is built of the package linux-source-6.12, once, in ten minutes of two processors.
//
//   node kmod/test/debug-kernel.mjs [suite]       default: all,fuzz
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {availableParallelism} from 'node:os';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {runQuietly} from '../../scripts/run-quietly.mjs';
import {boot} from './guest.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const SOURCE = '/usr/src/linux-source-6.12.tar.xz';
const folder = join(dirname(here), 'build', 'debug-kernel');
const tree = join(folder, 'linux-source-6.12');
const image = join(tree, 'arch/x86/boot/bzImage');

if (!existsSync(SOURCE)) {
  console.error(
    `${SOURCE} is not there; run: apt-get install -y --no-install-recommends linux-source-6.12 flex bison bc libelf-dev`,
  );
  process.exit(1);
}
if (!existsSync(image)) {
  console.log(`building a kernel in ${tree}`);
  mkdirSync(folder, {recursive: true});
  const options = {cwd: folder, env: process.env};
  await runQuietly('tar', ['xf', SOURCE], options);
  await runQuietly('make', ['-C', tree, 'tinyconfig'], options);
  const config = join(tree, '.config');
  writeFileSync(config, readFileSync(config, 'utf8') + readFileSync(join(here, 'debug.config'), 'utf8'));
  await runQuietly('make', ['-C', tree, 'olddefconfig'], options);
  await runQuietly('make', ['-C', tree, `-j${availableParallelism()}`, 'bzImage', 'modules'], options);
}
const name = readFileSync(join(tree, 'include/config/kernel.release'), 'utf8').trim();
const {counts, lines} = await boot(name, process.argv[2] ?? 'all,fuzz', {
  memory: 1536,
  seconds: 3600,
  image,
  tree,
});
for (const line of lines) console.log(line);
process.exitCode = counts.failed > 0 ? 1 : 0;
