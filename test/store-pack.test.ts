/*
 * The package as its users get it: packed, served by a registry of this test with what it depends on, and installed by npm
 * into an empty folder, where no compiler is to be found.
 */
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import type {AddressInfo} from 'node:net';
import {tmpdir} from 'node:os';
import {delimiter, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import type {ExecutionContext} from 'ava';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const store = join(root, 'packages/state-store');
const run = promisify(execFile);

interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** Where a command is that an ordinary shell would find. */
function found(command: string, path = process.env['PATH']!): string | undefined {
  return path
    .split(delimiter)
    .map(folder => join(folder, command))
    .find(file => existsSync(file));
}

const npm = realpathSync(found('npm')!);

/** The folders of the installed dependencies of a package, of whatever depth. */
function closure(folder: string, known = new Map<string, string>()): Map<string, string> {
  const {name, dependencies = {}, optionalDependencies = {}} = manifestOf(folder);
  known.set(name, folder);
  for (const each of Object.keys({...dependencies, ...optionalDependencies})) {
    const paths = createRequire(join(realpathSync(folder), 'package.json')).resolve.paths(each)!;
    const there = paths.map(path => join(path, each)).find(path => existsSync(join(path, 'package.json')));
    if (there !== undefined && !known.has(each)) closure(there, known);
  }
  return known;
}

interface Packed {
  manifest: Manifest;
  tarball: Buffer;
}

/** Packs the store as it would be published, and what it depends on without anything compiled. */
async function packAll(to: string): Promise<Packed[]> {
  const packed: Packed[] = [];
  for (const [name, folder] of closure(store)) {
    let tarball = join(to, `${name.replace('/', '-')}.tgz`);
    if (folder === store) {
      const command = [npm, 'pack', '--json', '--pack-destination', to];
      const {stdout} = await run(process.execPath, command, {cwd: store});
      const [{filename}] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [{filename: string}];
      tarball = join(to, filename);
    } else {
      const without = ['--exclude=./build', '--exclude=./node_modules'];
      const named = ['--transform=s,^[.],package,', '-C', realpathSync(folder), '.'];
      await run('tar', ['-czf', tarball, ...without, ...named]);
    }
    packed.push({manifest: manifestOf(folder), tarball: readFileSync(tarball)});
  }
  return packed;
}

/** As much of a registry as npm needs to install. */
async function registry(t: ExecutionContext, packages: Packed[]): Promise<string> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url!);
    const wanted = packages.find(({manifest: {name}}) => path === `/${name}` || path === `/${name}.tgz`);
    if (wanted === undefined) return void response.writeHead(404).end();
    const {manifest, tarball} = wanted;
    if (path.endsWith('.tgz')) return void response.end(tarball);
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
    const dist = {tarball: `${url}/${manifest.name}.tgz`, integrity};
    const {name, version} = manifest;
    const document = {name, 'dist-tags': {latest: version}, versions: {[version]: {...manifest, dist}}};
    response.setHeader('content-type', 'application/json').end(JSON.stringify(document));
  });
  server.listen(0, '127.0.0.1');
  t.teardown(() => server.close());
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return url;
}

test('packed and installed without a compiler, the README example runs on every backend; what is missing is said in a line', async t => {
  const made = mkdtempSync(join(tmpdir(), 'zlr-pack-'));
  t.teardown(() => rmSync(made, {recursive: true}));
  const packages = await packAll(made);
  const url = await registry(t, packages);

  const bin = join(made, 'bin');
  mkdirSync(bin);
  for (const command of ['node', 'sh', 'env']) symlinkSync(realpathSync(found(command)!), join(bin, command));
  for (const compiler of ['cc', 'gcc', 'g++', 'clang', 'make', 'python3'])
    t.is(found(compiler, bin), undefined);
  const home = join(made, 'home');
  mkdirSync(home);
  const env = {
    PATH: bin,
    HOME: home,
    npm_config_registry: url,
    npm_config_audit: 'false',
    npm_config_update_notifier: 'false',
  };
  const app = join(made, 'app');
  mkdirSync(app);
  await run(process.execPath, [npm, 'install', '@zlr/state-store'], {cwd: app, env});

  const installed = join(app, 'node_modules/@zlr/state-store');
  for (const name of ['shm-typed-array', 'mmap-io'])
    t.false(existsSync(join(app, 'node_modules', name)), `${name} cannot have been compiled`);
  t.true(existsSync(join(installed, 'dist/index.d.ts')));
  t.true(existsSync(join(installed, 'README.md')));

  const code = /```js\n(\/\/ shop\.mjs[\s\S]*?)```/.exec(
    readFileSync(join(installed, 'README.md'), 'utf8'),
  )![1]!;
  const name = `pack-${process.pid}`;
  writeFileSync(join(app, 'shop.mjs'), code.replace("name: 'shop'", `name: '${name}'`));
  const shop = (...args: string[]) => run(process.execPath, ['shop.mjs', ...args], {cwd: app, env});
  for (const backend of ['memory', 'sysv', 'file'])
    t.regex((await shop(backend, './shop.store')).stdout, /^start 1, 1 hits/, backend);
  t.regex((await shop('sysv')).stdout, /^start 2/);

  // As on another version of Node or another C library, for which nothing compiled is carried.
  await run(process.execPath, ['--input-type=module', '-e', remove, name], {cwd: app, env});
  rmSync(join(installed, 'prebuilds'), {recursive: true});
  t.regex((await shop('memory')).stdout, /^start 1, 1 hits/);
  for (const [backend, module] of [
    ['sysv', 'shm-typed-array'],
    ['file', 'mmap-io'],
  ] as const) {
    const error = (await shop(backend, './shop.store').catch((failed: unknown) => failed)) as {
      stderr: string;
    };
    const line = new RegExp(
      `StoreError: backend '${backend}' needs the compiled module ${module}, .*\\. *$`,
      'm',
    );
    t.regex(error.stderr, line);
    t.regex(error.stderr, /code: 'ERR_BACKEND'/);
  }
});

const remove = `
import {openStore, struct, t} from '@zlr/state-store';
const Visit = struct('Visit', {page: t.string(), bytes: t.uint, stage: t.enum('reading', 'sending', 'done')});
const schema = {starts: t.uint, visits: t.table(Visit), hits: t.map(t.string(), t.u32)};
(await openStore({name: process.argv[1], schema})).destroy();
`;

test('what is packed carries the licences of what it carries, and nothing that only this repository resolves', t => {
  const manifest = manifestOf(store);
  for (const range of Object.values({...manifest.dependencies, ...manifest.optionalDependencies}))
    t.regex(range, /^\d+\.\d+\.\d+$/);
  t.is(readFileSync(join(store, 'LICENSE'), 'utf8'), readFileSync(join(root, 'LICENSE'), 'utf8'));
  const script = readFileSync(join(store, 'scripts/prebuild.mjs'), 'utf8');
  for (const [, files] of script.matchAll(/^ {2}'[\w-]+': \[(.*)\],$/gm)) t.regex(files!, /'LICENSE'/);
});
