/* The packages as their users get them: packed, served by a registry of the test with what they depend on, installed by npm. */
import {execFile} from 'node:child_process';
import {createHash} from 'node:crypto';
import {once} from 'node:events';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import {createServer} from 'node:http';
import {createRequire} from 'node:module';
import type {AddressInfo} from 'node:net';
import {delimiter, dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {PNPM} from '../../scripts/run-quietly.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const run = promisify(execFile);

export interface Manifest {
  name: string;
  version: string;
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  [more: string]: unknown;
}

export function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

export interface Packed {
  manifest: Manifest;
  tarball: Buffer;
}

/** Our packages by name, and where their sources are. */
export const ours = new Map(
  readdirSync(join(root, 'packages')).map(each => {
    const folder = join(root, 'packages', each);
    return [manifestOf(folder).name, folder];
  }),
);

/** The folders of the installed dependencies of a package, of whatever depth, ours left out. */
function dependencies(folder: string, known = new Map<string, string>()): Map<string, string> {
  const {dependencies: needed = {}, optionalDependencies: optional = {}} = manifestOf(folder);
  for (const each of Object.keys({...needed, ...optional})) {
    if (known.has(each) || ours.has(each)) continue;
    const paths = createRequire(join(realpathSync(folder), 'package.json')).resolve.paths(each)!;
    const there = paths.map(path => join(path, each)).find(path => existsSync(join(path, 'package.json')));
    if (there === undefined) continue;
    known.set(each, there);
    dependencies(there, known);
  }
  return known;
}

async function tar(folder: string, tarball: string): Promise<void> {
  await run('tar', ['-czf', tarball, '--transform=s,^[.],package,', '-C', folder, '.']);
}

/** A dependency as npm has it: without anything compiled, and without the patch of this repository. */
async function asPublished(name: string, folder: string, work: string): Promise<Packed> {
  const copy = join(work, name);
  const real = realpathSync(folder);
  const left = [join(real, 'build'), join(real, 'node_modules')];
  cpSync(real, copy, {recursive: true, filter: path => !left.includes(path)});
  const manifest = manifestOf(copy);
  const patch = join(root, 'patches', `${name}@${manifest.version}.patch`);
  // Outside of a repository git applies a patch to what lies there.
  if (existsSync(patch))
    await run('git', ['apply', '--reverse', patch], {
      cwd: copy,
      env: {...process.env, GIT_CEILING_DIRECTORIES: work},
    });
  const tarball = join(work, `${name}.tgz`);
  await tar(copy, tarball);
  return {manifest, tarball: readFileSync(tarball)};
}

/** Packs ours as they would be published into `to`, and gives all that a registry must have. */
export async function packAll(to: string): Promise<Packed[]> {
  const pack = ['-y', PNPM, '--recursive', '--filter', './packages/*', 'pack', '--pack-destination', to];
  await run('npx', pack, {cwd: root, maxBuffer: 2 ** 26});
  const packed: Packed[] = [];
  for (const file of readdirSync(to).filter(each => each.endsWith('.tgz'))) {
    const tarball = readFileSync(join(to, file));
    const {stdout} = await run('tar', ['-xzOf', join(to, file), 'package/package.json']);
    packed.push({manifest: JSON.parse(stdout) as Manifest, tarball});
  }
  const others = new Map<string, string>();
  for (const folder of ours.values()) dependencies(folder, others);
  const work = mkdtempSync(join(to, 'others-'));
  for (const [name, folder] of others) packed.push(await asPublished(name, folder, work));
  return packed;
}

/** The same package without some of its files. */
export async function without(packed: Packed, paths: readonly string[], work: string): Promise<Packed> {
  const folder = mkdtempSync(join(work, 'without-'));
  await unpack(packed, folder);
  for (const each of paths) rmSync(join(folder, 'package', each), {recursive: true});
  const tarball = join(folder, 'without.tgz');
  await tar(join(folder, 'package'), tarball);
  return {...packed, tarball: readFileSync(tarball)};
}

/** Into the folder `package` of `to`. */
export async function unpack({tarball}: Packed, to: string): Promise<void> {
  const done = run('tar', ['-xzf', '-', '-C', to]);
  done.child.stdin!.end(tarball);
  await done;
}

export interface Registry {
  url: string;
  close(): void;
}

/** As much of a registry as npm needs to install. */
export async function serve(packages: readonly Packed[]): Promise<Registry> {
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
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {url, close: () => void server.close()};
}

/** Where a command is that an ordinary shell would find. */
export function found(command: string, path = process.env['PATH']!): string | undefined {
  return path
    .split(delimiter)
    .map(folder => join(folder, command))
    .find(file => existsSync(file));
}

const npm = realpathSync(found('npm')!);
export const COMPILERS = ['cc', 'gcc', 'g++', 'clang', 'make', 'python3'];

/** A user's machine: a home, an empty folder for a program, and a PATH with or without compilers. */
export class Place {
  readonly app: string;
  readonly env: Record<string, string>;

  constructor(
    at: string,
    {url}: Registry,
    {compiler, node = process.execPath}: {compiler: boolean; node?: string},
  ) {
    const made = mkdtempSync(join(at, 'place-'));
    const [bin, home] = [join(made, 'bin'), join(made, 'home')];
    this.app = join(made, 'app');
    for (const each of [bin, home, this.app]) mkdirSync(each);
    symlinkSync(node, join(bin, 'node'));
    for (const command of ['sh', 'env']) symlinkSync(realpathSync(found(command)!), join(bin, command));
    this.env = {
      PATH: compiler ? [bin, process.env['PATH']!].join(delimiter) : bin,
      HOME: home,
      ZLR_RUN_DIR: join(made, 'run'),
      npm_config_registry: url,
      npm_config_audit: 'false',
      npm_config_update_notifier: 'false',
      npm_config_cache: join(home, 'cache'),
      // What a compilation needs is here already; a test downloads nothing.
      npm_config_nodedir: dirname(dirname(process.execPath)),
    };
    // What the run of the tests puts into the environment is how it knows its own processes.
    for (const [name, value] of Object.entries(process.env))
      if (name.startsWith('ZLR_')) this.env[name] ??= value!;
  }

  async install(...names: string[]): Promise<{stdout: string; stderr: string}> {
    return run(process.execPath, [npm, 'install', '--foreground-scripts', ...names], {
      cwd: this.app,
      env: this.env,
    });
  }

  installed(name: string): string {
    return join(this.app, 'node_modules', name);
  }

  /** The same place, its programs run by another Node. */
  under(node: string): Place {
    const bin = mkdtempSync(join(dirname(this.app), 'bin-'));
    symlinkSync(node, join(bin, 'node'));
    const env = {...this.env, PATH: [bin, this.env['PATH']!].join(delimiter)};
    return Object.create(this, {env: {value: env}}) as Place;
  }

  /** Runs node in the folder of the program. */
  node(...args: string[]): Promise<{stdout: string; stderr: string}> {
    return run(found('node', this.env['PATH']!)!, args, {cwd: this.app, env: this.env});
  }

  /** What a program that fails has to say. */
  async failure(...args: string[]): Promise<string> {
    try {
      const {stdout} = await this.node(...args);
      throw new Error(`expected a failure, got: ${stdout}`);
    } catch (error) {
      const {stderr} = error as {stderr?: string};
      if (stderr === undefined) throw error;
      return stderr;
    }
  }
}
