// Compiles the addon for every platform and C library that a compiler of this machine makes code for, into prebuilds/, which
// is packed. It speaks Node-API, so that one file serves every Node. `--all`: a target without its compiler is an error.
import {execFileSync, spawnSync} from 'node:child_process';
import {mkdirSync, readFileSync, renameSync, rmSync} from 'node:fs';
import {createRequire} from 'node:module';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const headers = join(dirname(dirname(process.execPath)), 'include/node');
const [target] = JSON.parse(readFileSync(join(root, 'binding.gyp'), 'utf8')).targets;

/** musl-gcc knows the C library alone; the kernel's headers are the machine's. */
const kernelHeaders = triplet => ['-idirafter', '/usr/include', '-idirafter', `/usr/include/${triplet}`];
const cross = (arch, compiler) => (arch === process.arch ? 'cc' : compiler);
const machines = {
  x64: {
    glibc: {compiler: cross('x64', 'x86_64-linux-gnu-gcc'), from: 'gcc-x86-64-linux-gnu'},
    musl: {compiler: 'musl-gcc', from: 'musl-tools', flags: kernelHeaders('x86_64-linux-gnu')},
  },
  arm64: {
    glibc: {compiler: cross('arm64', 'aarch64-linux-gnu-gcc'), from: 'gcc-aarch64-linux-gnu'},
    musl: {compiler: 'musl-gcc', from: 'musl-tools', flags: kernelHeaders('aarch64-linux-gnu')},
  },
};
// A musl of another machine type is not to be had from Debian.
const wanted = Object.entries(machines).flatMap(([arch, libcs]) =>
  Object.entries(libcs)
    .filter(([libc]) => libc === 'glibc' || arch === process.arch)
    .map(([libc, tool]) => ({arch, libc, ...tool})),
);

const missing = [];
for (const {arch, libc, compiler, from, flags = []} of wanted) {
  if (spawnSync(compiler, ['--version']).error) {
    missing.push(from);
    continue;
  }
  const file = join(root, `prebuilds/linux-${arch}/zlr.${libc}.node`);
  const draft = `${file}.${process.pid}`;
  mkdirSync(dirname(file), {recursive: true});
  try {
    const defines = target.defines.map(each => `-D${each}`);
    const includes = [`-I${headers}`, ...(target.include_dirs ?? []).map(each => `-I${each}`), ...flags];
    const how = ['-shared', '-fPIC', ...target.cflags, ...target.ldflags, ...defines, ...includes, '-s'];
    execFileSync(compiler, [...how, '-o', draft, ...target.sources], {cwd: root, stdio: ['ignore', 2, 2]});
    renameSync(draft, file);
  } finally {
    rmSync(draft, {force: true});
  }
}
const own = `../prebuilds/linux-${process.arch}/zlr.glibc.node`;
if (process.arch in machines) createRequire(import.meta.url)(own); // nothing is packed that does not load
if (missing.length > 0) {
  const line = `prebuild: no compiler for some targets; run: apt-get install -y ${missing.join(' ')}`;
  if (process.argv.includes('--all')) throw new Error(line);
  console.error(line);
}
