// Compiles the modules of the backends for each Node that is served and puts them into prebuilds/, which is packed. Both are
// bound to V8 and thus to one ABI of Node, so their folder is named by it. What is there already and was made of the same
// stays. mmap-io is patched, and says so beside its copy. `--all`, for what is published: for arm64, too, by Debian's cross
// compiler. `--node 22`: for one Node only.
import {createHash} from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import {createRequire} from 'node:module';
import {tmpdir} from 'node:os';
import {delimiter, dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {parseArgs} from 'node:util';
import {fingerprint} from '../../../scripts/fingerprint.mjs';
import {MAJORS, nodePrefix} from '../../../scripts/nodes.mjs';
import {runQuietly, toolEnvironment} from '../../../scripts/run-quietly.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const repository = join(root, '../..');
const require = createRequire(join(root, 'package.json'));
const gyp = createRequire(join(repository, 'package.json')).resolve('node-gyp/bin/node-gyp.js');

/** What each needs to be loaded, and its licence. */
const carried = {
  'shm-typed-array': ['package.json', 'LICENSE', 'index.js', 'build/Release/shm.node'],
  'mmap-io': ['package.json', 'LICENSE', 'mmap-io.js', 'dist/mmap-io.js', 'build/Release/mmap-io.node'],
};

const sha256 = file => createHash('sha256').update(readFileSync(file)).digest('hex');

/** Says beside a copy that it is not what its name on npm promises. */
function tellOfPatch(name, folder) {
  const {version} = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const patch = `${name}@${version}.patch`;
  const from = join(repository, 'patches', patch);
  if (!existsSync(from)) return;
  cpSync(from, join(folder, patch));
  const text = [
    `This is ${name} ${version} as npm has it, with ${patch} applied and compiled.`,
    '',
    `sha256 of ${patch}: ${sha256(from)}`,
    ...carried[name]
      .filter(file => file.endsWith('.node'))
      .map(file => `sha256 of ${file}: ${sha256(join(folder, file))}`),
    '',
  ];
  writeFileSync(join(folder, 'PATCHED.md'), text.join('\n'));
}

/** The variables by which node-gyp's makefiles find a cross compiler. */
const cross = {
  arm64: {
    CC: 'aarch64-linux-gnu-gcc',
    CXX: 'aarch64-linux-gnu-g++',
    AR: 'aarch64-linux-gnu-ar',
    LINK: 'aarch64-linux-gnu-g++',
  },
};

async function compile(name, arch, prefix, into) {
  const work = mkdtempSync(join(tmpdir(), `zlr-${name}-`));
  try {
    const from = dirname(require.resolve(`${name}/package.json`));
    const left = [join(from, 'build'), join(from, 'node_modules')];
    cpSync(from, work, {recursive: true, filter: path => !left.includes(path)});
    const nan = dirname(createRequire(join(from, 'package.json')).resolve('nan/package.json'));
    cpSync(nan, join(work, 'node_modules/nan'), {recursive: true, dereference: true});
    const isOwn = arch === process.arch;
    const env = {...toolEnvironment(process.env, prefix), ...(isOwn ? {} : cross[arch])};
    env['PATH'] = [join(prefix, 'bin'), env['PATH']].join(delimiter);
    await runQuietly('node', [gyp, 'rebuild', `--nodedir=${prefix}`, `--arch=${arch}`], {cwd: work, env});
    for (const file of carried[name]) {
      mkdirSync(dirname(join(into, file)), {recursive: true});
      cpSync(join(work, file), join(into, file));
    }
    tellOfPatch(name, into);
    // Nothing is packed that does not load.
    if (isOwn) await runQuietly('node', ['-e', `require(${JSON.stringify(into)})`], {cwd: work, env});
  } finally {
    rmSync(work, {recursive: true});
  }
}

async function prebuild(major, arch) {
  const prefix = await nodePrefix(major);
  const [, abi] = /NODE_MODULE_VERSION (\d+)/.exec(
    readFileSync(join(prefix, 'include/node/node_version.h'), 'utf8'),
  );
  const build = `${process.platform}-${arch}-${abi}`;
  const target = join(root, 'prebuilds', build);
  const note = join(root, `node_modules/.zlr-prebuilt-${build}`);
  const made = fingerprint(
    repository,
    ['patches', 'packages/state-store/package.json', 'packages/state-store/scripts/prebuild.mjs'],
    [JSON.parse(readFileSync(join(prefix, 'package.json'), 'utf8')).version],
  );
  if (existsSync(target) && existsSync(note) && readFileSync(note, 'utf8') === made) return;
  const draft = `${target}.${process.pid}`;
  try {
    await Promise.all(Object.keys(carried).map(name => compile(name, arch, prefix, join(draft, name))));
    rmSync(target, {recursive: true, force: true});
    renameSync(draft, target);
    writeFileSync(note, made);
  } finally {
    rmSync(draft, {recursive: true, force: true});
  }
}

const {values} = parseArgs({options: {all: {type: 'boolean'}, node: {type: 'string'}}});
const arches = values.all ? [...new Set([process.arch, 'arm64'])] : [process.arch];
for (const major of values.node === undefined ? MAJORS : [values.node])
  for (const arch of arches) await prebuild(major, arch);
