// Builds zlr.ko for each kernel whose headers and image are installed, boots that kernel in QEMU and runs the guest's
// tests there. By itself: node kmod/test/guest.mjs [run [kernel]], where run is a suite, all, fuzz, bench, count or node.
import {execFileSync, spawn} from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {release, tmpdir} from 'node:os';
import {basename, dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {atLeast} from '../../scripts/requirements.mjs';
import {runQuietly} from '../../scripts/run-quietly.mjs';

/** @typedef {import('../../scripts/test-record.mjs').Counts} Counts */

const here = dirname(fileURLToPath(import.meta.url));
const kmod = dirname(here);

/** Seconds. A boot takes 10 to 30 without a hypervisor, the tests as long again, and the fuzzer a minute; on a busy machine several
 * times that. More means that it hangs. */
const TIME_LIMIT = 900;

/** Names of the kernels that can be built for and booted, as in /lib/modules. */
export function kernels() {
  if (!existsSync('/lib/modules')) return [];
  return readdirSync('/lib/modules').filter(
    name => existsSync(`/lib/modules/${name}/build/Makefile`) && existsSync(`/boot/vmlinuz-${name}`),
  );
}

/** Debian's other busybox asks for a dynamic linker (a PT_INTERP segment of the ELF file), and the guest has none. */
function hasStaticBusybox() {
  if (!existsSync('/bin/busybox')) return false;
  const elf = readFileSync('/bin/busybox');
  const [start, size, count] = [Number(elf.readBigUInt64LE(32)), elf.readUInt16LE(54), elf.readUInt16LE(56)];
  const types = Array.from({length: count}, (_, index) => elf.readUInt32LE(start + index * size));
  return !types.includes(3);
}

/** What is not installed, as Debian calls it. */
export function missingPackages() {
  const folders = (process.env['PATH'] ?? '').split(':');
  /** @param {string} command */
  const has = command => folders.some(folder => existsSync(join(folder, command)));
  const missing = [];
  if (!has('qemu-system-x86_64')) missing.push('qemu-system-x86');
  if (!hasStaticBusybox()) missing.push('busybox-static');
  if (!has('cpio')) missing.push('cpio');
  if (!existsSync('/sbin/modprobe')) missing.push('kmod');
  if (kernels().length === 0) missing.push('linux-image-amd64', 'linux-headers-amd64');
  return missing;
}

/** How many tests stand in the guest's tables. */
export function testsWritten() {
  const sources = readdirSync(here).filter(name => name.endsWith('.c'));
  const tables = sources.map(name => readFileSync(join(here, name), 'utf8'));
  return tables.join('').match(/^\t\{ "[^"]+", \w+ \},$/gm)?.length ?? 0;
}

const environment = {...process.env};
// A make above this one must not lend it its jobs and flags.
for (const name of ['MAKEFLAGS', 'MAKELEVEL', 'MFLAGS']) delete environment[name];

/**
 * @param {string} kernel
 * @param {string} [tree] what it is built in
 * @returns {Promise<{module: string, program: string}>} paths
 */
export async function build(kernel, tree = `/lib/modules/${kernel}/build`) {
  const out = join(kmod, 'build', kernel);
  const program = join(kmod, 'build', 'zlr-test');
  const options = {cwd: kmod, env: environment};
  await runQuietly('make', [`KVER=${kernel}`, `KDIR=${tree}`], options);
  const sources = readdirSync(here).filter(name => name.endsWith('.c'));
  const flags = [
    '-std=gnu17',
    '-O2',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-static',
    '-pthread',
    '-I../../packages/kernel-shim/include',
  ];
  await runQuietly('gcc', [...flags, '-o', program, ...sources], {cwd: here, env: environment});
  return {module: join(out, 'kmod', 'zlr.ko'), program};
}

/**
 * An initramfs: the guest's whole file system.
 * @param {string} folder where it is put together
 * @param {{module: string, program: string}} built
 * @param {(root: string) => void} furnish adds more
 */
async function initramfs(folder, built, furnish) {
  const root = join(folder, 'root');
  mkdirSync(join(root, 'bin'), {recursive: true});
  for (const name of ['proc', 'sys', 'dev', 'tmp']) mkdirSync(join(root, name));
  copyFileSync('/bin/busybox', join(root, 'bin', 'busybox'));
  copyFileSync(join(here, 'init'), join(root, 'init'));
  copyFileSync(built.module, join(root, 'zlr.ko'));
  copyFileSync(built.program, join(root, 'zlr-test'));
  furnish(root);
  const archive = join(folder, 'initramfs');
  await runQuietly('sh', ['-c', 'cd "$0" && find . | cpio --quiet -o -H newc > "$1"', root, archive], {
    cwd: folder,
    env: environment,
  });
  return archive;
}

/** The kernel modules that a guest needs to see the host's files, each behind those it needs, into a folder. */
function copyFileSystemModules(/** @type {string} */ kernel, /** @type {string} */ folder) {
  mkdirSync(folder);
  /** @type {string[]} */
  const paths = [];
  for (const name of ['virtio_pci', '9pnet_virtio', '9p', 'overlay']) {
    const lines = execFileSync('/sbin/modprobe', ['-S', kernel, '--show-depends', name], {encoding: 'utf8'});
    for (const [, path] of lines.matchAll(/^insmod (\S+)/gm))
      if (path && !paths.includes(path)) paths.push(path);
  }
  for (const [index, path] of paths.entries()) {
    copyFileSync(path, join(folder, `${String(index).padStart(2, '0')}-${basename(path)}`));
  }
}

/**
 * Boots a kernel and reads the results from its console.
 * @param {string} kernel
 * @param {string} run what /init shall run
 * @param {{memory?: number, seconds?: number, insmod?: string, shell?: string, counting?: boolean, image?: string, tree?: string}} [options]
 *   memory in MiB; insmod: module parameters, with commas between them; shell: commands that run as `shell` does not
 *   name a suite, with the host's file system under them, read-only; counting: a nanosecond of the guest is an
 *   instruction, on one processor; image and tree: of a kernel that is not installed
 * @returns {Promise<{counts: Counts, lines: string[]}>} and all that was printed between boot and the end
 */
export async function boot(kernel, run, options = {}) {
  const {memory = 512, seconds = TIME_LIMIT, insmod = '', shell, counting, tree} = options;
  const {image = `/boot/vmlinuz-${kernel}`} = options;
  /** @param {string} root */
  const furnish = root => {
    if (shell === undefined) return;
    copyFileSystemModules(kernel, join(root, 'modules'));
    const script = `#!/bin/sh\nexec chroot /new /usr/bin/env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/root sh -c '${shell}'\n`;
    writeFileSync(join(root, `run-${run}`), script, {mode: 0o755});
  };
  const folder = mkdtempSync(join(tmpdir(), 'zlr-guest-'));
  try {
    const archive = await initramfs(folder, await build(kernel, tree), furnish);
    const append = `console=ttyS0 quiet panic=-1 zlr.run=${run} zlr.insmod=${insmod}`;
    // KVM is not used though it may be there: nested, it hangs on some machines. Nor is cmpxchg16b, which the kernel's
    // allocator would run on each object: seen once, an interrupt just behind the emulated one found EFLAGS made of the
    // operand's address (VM and NT set), and the guest died of a double fault.
    const qemu = spawn(
      'qemu-system-x86_64',
      // biome-ignore format: an option and its value a line are harder to read
      ['-accel', 'tcg', '-cpu', 'qemu64,-cx16', ...(counting ? ['-icount', 'shift=0,sleep=off', '-smp', '1'] : ['-smp', '2']),
        '-m', String(memory), '-nodefaults', '-display', 'none', '-no-reboot', '-serial', 'stdio',
        ...(shell ? ['-fsdev', 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap', '-device', 'virtio-9p-pci,fsdev=host,mount_tag=host'] : []),
        '-kernel', image, '-initrd', archive, '-append', append],
      {stdio: ['ignore', 'pipe', 'inherit']},
    );
    const stop = () => qemu.kill('SIGKILL');
    const timer = setTimeout(stop, seconds * 1000); // a kernel that hangs says nothing more
    process.once('exit', stop);
    /** @type {string[]} */
    const lines = [];
    for await (const line of createInterface({input: qemu.stdout})) lines.push(line.trimEnd());
    clearTimeout(timer);
    process.removeListener('exit', stop);
    return {counts: count(lines), lines};
  } finally {
    rmSync(folder, {recursive: true, force: true});
  }
}

/**
 * A guest that did not come to its end, or whose program did not, has failed, whatever it printed before.
 * @param {readonly string[]} lines
 * @returns {Counts}
 */
function count(lines) {
  const passed = lines.filter(line => line.startsWith('ok ')).length;
  const failed = lines.filter(line => line.startsWith('not ok ')).length;
  const ended = lines.includes('exit status 0') && lines.includes('guest done');
  return {passed, failed: failed + (ended ? 0 : 1), skipped: 0};
}

/** @param {string} kernel @param {string} run @param {readonly string[]} lines @param {Counts} counts */
function print(kernel, run, lines, counts) {
  if (counts.failed > 0) for (const line of lines) console.log(`  ${kernel}: ${line}`);
  console.log(`  kernel ${kernel}, ${run}: ${counts.passed} passed, ${counts.failed} failed`);
}

/** What every kernel runs in npm test. */
const RUNS = 'all,fuzz';

/** What the newest one runs besides: the packages as a service uses them, with the Node that runs this. */
const NODE_RUN = {
  shell: `cd "${dirname(kmod)}" && exec "${process.execPath}" kmod/test/node/module.mjs`,
  memory: 1024,
};

/** The benchmark by instructions instead of time. */
const COUNT_RUN = {counting: true};

/** @returns {Promise<Counts>} */
export async function runGuests() {
  const sum = {passed: 0, failed: 0, skipped: 0};
  const missing = missingPackages();
  if (missing.length > 0) {
    console.log(`  kmod: the kernel module is not tested, install: ${missing.join(' ')}`);
    return {...sum, skipped: testsWritten()};
  }
  const newest = kernels()
    .toSorted((a, b) => (atLeast(a, b) ? 1 : -1))
    .at(-1);
  for (const kernel of kernels()) {
    const runs = [
      {name: RUNS, options: {}},
      ...(kernel === newest ? [{name: 'node', options: NODE_RUN}] : []),
    ];
    for (const {name, options} of runs) {
      try {
        const {counts, lines} = await boot(kernel, name, options);
        print(kernel, name, lines, counts);
        sum.passed += counts.passed;
        sum.failed += counts.failed;
      } catch (error) {
        console.log(`  kernel ${kernel}, ${name}: ${/** @type {Error} */ (error).message}`);
        console.log(/** @type {{output?: string}} */ (error).output ?? '');
        sum.failed++;
      }
    }
  }
  return sum;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [run = 'all', kernel = kernels().find(name => name === release()) ?? kernels()[0]] =
    process.argv.slice(2);
  const missing = missingPackages();
  if (missing.length > 0 || kernel === undefined) {
    console.error(
      `missing: ${missing.join(' ')}; run: apt-get install -y --no-install-recommends ${missing.join(' ')}`,
    );
    process.exit(1);
  }
  const {counts, lines} = await boot(
    kernel,
    run === 'count' ? 'bench' : run,
    {node: NODE_RUN, count: COUNT_RUN}[run] ?? {},
  );
  for (const line of lines) console.log(line);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}
