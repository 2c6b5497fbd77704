/*
 * Each package as its users get it: packed, served by a registry of this test, and installed by npm into an empty folder.
 * All are packed once for the whole file.
 */
import {createHash} from 'node:crypto';
import {cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {checkPackage, createPackageFromTarballData} from '@arethetypeswrong/core';
import test from 'ava';
import {build as esbuild} from 'esbuild';
import {build as rolldown} from 'rolldown';
import {MAJORS, nodePrefix} from '../scripts/nodes.mjs';
import {
  COMPILERS,
  found,
  manifestOf,
  ours,
  type Packed,
  Place,
  packAll,
  type Registry,
  root,
  run,
  serve,
  unpack,
  without,
} from './support/packed.js';
import {examples} from './support/readme-examples.js';

const REPOSITORY = 'https://github.com/zlr-project/zlr';
const made = mkdtempSync(join(tmpdir(), 'zlr-packed-'));
let packages: Packed[];
let registry: Registry;

test.before(async () => {
  packages = await packAll(made);
  registry = await serve(packages);
});
test.after.always(() => {
  registry.close();
  rmSync(made, {recursive: true});
});

function packed(name: string): Packed {
  return packages.find(each => each.manifest.name === name)!;
}

/** The unpacked files of a package, by path. */
async function filesOf(name: string): Promise<{folder: string; files: string[]}> {
  const to = mkdtempSync(join(made, 'files-'));
  await unpack(packed(name), to);
  const folder = join(to, 'package');
  const files = readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name).slice(folder.length + 1));
  return {folder, files};
}

for (const name of ours.keys()) {
  test(`${name}: installed without a compiler, the README's example runs under every Node`, async t => {
    const place = new Place(made, registry, {compiler: false});
    for (const compiler of COMPILERS) t.is(found(compiler, place.env['PATH']!), undefined);
    await place.install(name);
    for (const major of MAJORS) {
      t.log(`node ${major}`);
      await examples[name]!(t, place.under(join(await nodePrefix(major), 'bin/node')));
    }
  });

  test(`${name}: what is packed is complete, and nothing that is of use here alone`, async t => {
    const {folder, files} = await filesOf(name);
    const manifest = manifestOf(folder);
    t.is(readFileSync(join(folder, 'LICENSE'), 'utf8'), readFileSync(join(root, 'LICENSE'), 'utf8'));
    t.like(manifest, {license: 'MIT', repository: {url: `git+${REPOSITORY}.git`}});
    t.true((manifest['homepage'] as string).startsWith(REPOSITORY));
    t.true((manifest['keywords'] as string[]).length > 2);
    t.like(manifest, {exports: {'./package.json': './package.json'}});
    for (const range of Object.values({...manifest.dependencies, ...manifest.optionalDependencies}))
      t.regex(range, /^\d+\.\d+\.\d+$/);
    t.deepEqual(
      files.filter(file => /tsbuildinfo|\.d\.ts\.map$|\.tgz$|^src\//.test(file)),
      [],
    );
    // What was moved or deleted in the sources leaves nothing in a package.
    for (const file of files.filter(each => /^dist\/.*\.js$/.test(each)))
      t.true(existsSync(join(ours.get(name)!, file.replace('dist', 'src').replace(/\.js$/, '.ts'))), file);
    for (const file of files.filter(each => each.endsWith('.js.map'))) {
      const map = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Record<string, string[]>;
      t.is(map['sourcesContent']?.length, map['sources']!.length, file);
    }
    for (const file of files.filter(each => /^dist\/.*\.(js|ts)$/.test(each))) {
      const [, map] = /^\/\/# sourceMappingURL=(.*)$/m.exec(readFileSync(join(folder, file), 'utf8')) ?? [];
      if (map !== undefined) t.true(existsSync(join(folder, dirname(file), map)), `${file} names ${map}`);
    }
    for (const file of ['store.h', 'channel.h'])
      t.is(files.includes(`include/zlr/${file}`), existsSync(join(ours.get(name)!, 'include/zlr', file)));
  });

  test(`${name}: the links of its README work from npm`, t => {
    const readme = readFileSync(join(ours.get(name)!, 'README.md'), 'utf8');
    const links = [...readme.matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$/gm)].map(([, a, b]) => a ?? b!);
    for (const link of links.filter(each => !each.startsWith('#'))) {
      t.regex(link, /^https:/);
      const [, path] = new RegExp(`^${REPOSITORY}/(?:blob|tree)/main/([^#]*)`).exec(link) ?? [];
      if (path !== undefined) t.true(existsSync(join(root, path)), link);
    }
    for (const [, used] of readme.matchAll(/(?<![`\w])\[(@zlr\/[\w-]+)\](?!\()/g))
      t.true(readme.includes(`\n[${used}]: `), `${used} is a link without its address`);
  });

  test(`${name}: it depends on what it imports, and on nothing else`, async t => {
    const {folder, files} = await filesOf(name);
    const {dependencies = {}, optionalDependencies = {}} = manifestOf(folder);
    const code = files
      .filter(file => /^(dist|bin)\/.*(\.js|\.d\.ts)$/.test(file))
      .map(file => readFileSync(join(folder, file), 'utf8'))
      .join('\n');
    const imported = [
      ...code.matchAll(/(?:from |import |import\(|\.resolve\(|require\()'((?:@[\w-]+\/)?[a-z][\w:/.-]*)'/g),
    ]
      .map(([, each]) =>
        each!
          .split('/')
          .slice(0, each!.startsWith('@') ? 2 : 1)
          .join('/'),
      )
      .filter(each => !each.startsWith('node:') && each !== name);
    const optional = Object.keys(optionalDependencies).filter(each => code.includes(`'${each}'`));
    t.deepEqual(
      [...new Set([...imported, ...optional])].sort(),
      Object.keys({...dependencies, ...optionalDependencies}).sort(),
    );
  });

  const {exports: entries, main} = manifestOf(ours.get(name)!);
  if (main === undefined) continue; // a command line: nobody imports it

  test(`${name}: its types are found by every way of resolving`, async t => {
    const {problems} = (await checkPackage(createPackageFromTarballData(packed(name).tarball), {
      // The first is a program, the second of this repository alone.
      excludeEntrypoints: ['./serve-main', './internal'],
    })) as {problems: {kind: string}[]};
    // It is a module that Node takes by require() too; docs/decisions/modules.md.
    t.deepEqual(
      problems.filter(each => each.kind !== 'CJSResolvesToESM'),
      [],
    );
    t.truthy((entries as Record<string, {types: string}>)['.']!.types);
  });
}

test('require() and import give the same, on every Node that engines names, without a warning and without an addon', async t => {
  const place = new Place(made, registry, {compiler: false});
  const names = [...ours].filter(([, folder]) => manifestOf(folder)['main']).map(([name]) => name);
  await place.install(...ours.keys());
  writeFileSync(
    join(place.app, 'both.cjs'),
    `(async () => {
      for (const name of ${JSON.stringify(names)}) {
        const [a, b] = [require(name), await import(name)];
        for (const each of Object.keys(b)) if (a[each] !== b[each]) throw new Error(name + ' ' + each);
        console.log(Object.keys(b).length > 0);
      }
    })();`,
  );
  for (const major of MAJORS) {
    const under = place.under(join(await nodePrefix(major), 'bin/node'));
    const {stdout, stderr} = await under.node('--no-addons', 'both.cjs');
    t.is(stderr, '', major);
    t.is(stdout, 'true\n'.repeat(names.length), major);
  }
});

test('installed with a compiler, all examples run', async t => {
  const place = new Place(made, registry, {compiler: true});
  await place.install(...ours.keys());
  t.true(existsSync(join(place.installed('shm-typed-array'), 'build/Release/shm.node')), 'it is compiled');
  t.false(existsSync(join(place.installed('@zlr/kernel-shim'), 'build')), 'a copy is carried');
  for (const name of ours.keys()) await examples[name]!(t, place);
});

test('where no addon is carried it is compiled; where that cannot be, an install succeeds and the first use says what to do', async t => {
  const bare = await without(packed('@zlr/kernel-shim'), ['prebuilds'], made);
  const elsewhere = await serve([
    bare,
    ...packages.filter(each => each.manifest.name !== '@zlr/kernel-shim'),
  ]);
  t.teardown(() => elsewhere.close());

  const compiling = new Place(made, elsewhere, {compiler: true});
  await compiling.install('@zlr/kernel-shim');
  t.true(existsSync(join(compiling.installed('@zlr/kernel-shim'), 'build/Release/zlr.node')));
  await examples['@zlr/kernel-shim']!(t, compiling);

  const place = new Place(made, elsewhere, {compiler: false});
  const {stderr} = await place.install('zlr');
  t.regex(stderr, /^@zlr\/kernel-shim: .*then: npm rebuild @zlr\/kernel-shim$/m);
  const zlr = 'node_modules/zlr/bin/zlr.js';
  t.regex((await place.node(zlr, '--version')).stdout, /^\d/);
  t.regex((await place.node(zlr, '--help')).stdout, /zlr serve/);
  t.is((await place.node(zlr, 'ls', '--json')).stdout[0], '[');
  const said = await place.failure(zlr, 'run', '--name', `bare-${process.pid}`, '--', 'node', '-e', '0');
  t.regex(
    said,
    /^zlr: the native part of @zlr\/kernel-shim .* is carried for no platform, .*npm rebuild @zlr\/kernel-shim\n$/,
  );
});

/** Opens a store, or listens, and prints what went wrong with all that caused it. */
const attempt = (backend: string): string => `
import {openStore, t} from '@zlr/state-store';
import {listen} from '@zlr/kernel-shim';
const say = error => ({code: error.code, name: error.name, message: error.message,
  causes: [error.cause, ...(error.cause?.errors ?? [])].filter(each => each).map(each => each.code)});
export async function attempt() {
  try {
    if ('${backend}' === 'shim') return {fine: listen('127.0.0.1', 0) > 0};
    const options = {name: 'attempt-${process.pid}', size: '1MB', backend: '${backend}', path: './attempt.store'};
    const store = await openStore({...options, schema: {n: t.u32}});
    store.destroy();
    return {fine: true};
  } catch (error) {
    return say(error);
  }
}
`;

test('a missing native part is ERR_BACKEND or NATIVE_MISSING with its whole cause: absent, broken, without addons, in a thread', async t => {
  const place = new Place(made, registry, {compiler: false});
  await place.install('@zlr/kernel-shim', '@zlr/state-store');
  writeFileSync(
    join(place.app, 'thread.mjs'),
    `import {Worker, isMainThread, parentPort} from 'node:worker_threads';
     if (isMainThread) new Worker(new URL(import.meta.url)).on('message', said => console.log(JSON.stringify(said)));
     else parentPort.postMessage(await (await import('./sysv.mjs')).attempt());`,
  );
  for (const backend of ['sysv', 'file', 'shim'])
    writeFileSync(join(place.app, `${backend}.mjs`), attempt(backend));
  const outcome = async (backend: string, ...flags: string[]) => {
    const script = `import('./${backend}.mjs').then(({attempt}) => attempt()).then(said => console.log(JSON.stringify(said)))`;
    return JSON.parse((await place.node(...flags, '-e', script)).stdout) as Record<string, unknown>;
  };
  const codes = {sysv: 'ERR_BACKEND', file: 'ERR_BACKEND', shim: 'NATIVE_MISSING'};
  const each = Object.entries(codes);
  for (const [backend] of each) t.deepEqual(await outcome(backend), {fine: true}, backend);
  for (const [backend, code] of each) {
    const said = await outcome(backend, '--no-addons');
    t.is(said['code'], code);
    t.regex(said['message'] as string, /without --no-addons/);
    t.true((said['causes'] as string[]).includes('ERR_DLOPEN_DISABLED'), backend);
  }
  const thread = JSON.parse((await place.node('thread.mjs')).stdout) as {code: string; message: string};
  t.is(thread.code, 'ERR_BACKEND');
  t.regex(thread.message, /main thread only/);

  for (const [name, folder] of [
    ['@zlr/kernel-shim', 'prebuilds'],
    ['@zlr/state-store', 'prebuilds'],
  ] as const) {
    const prebuilds = join(place.installed(name), folder);
    for (const file of readdirSync(prebuilds, {recursive: true, encoding: 'utf8'}))
      if (file.endsWith('.node')) writeFileSync(join(prebuilds, file), 'no library');
  }
  for (const [backend, code] of each) {
    const said = await outcome(backend);
    t.is(said['code'], code);
    t.true((said['causes'] as string[]).includes('ERR_DLOPEN_FAILED'), backend);
    t.regex(said['message'] as string, /\.node: (file too short|invalid ELF header)/);
  }
  for (const name of ['@zlr/kernel-shim', '@zlr/state-store'])
    rmSync(join(place.installed(name), 'prebuilds'), {recursive: true});
  t.regex(
    (await outcome('shim'))['message'] as string,
    /is carried for no platform, not for linux-\w+ with glibc/,
  );
  for (const backend of ['sysv', 'file']) {
    const said = await outcome(backend);
    t.is(said['code'], 'ERR_BACKEND');
    t.regex(said['message'] as string, /no copy is carried for linux-/);
  }
});

test('a bundle finds the native parts of the packages beside it, and says what to do where there are none', async t => {
  const place = new Place(made, registry, {compiler: false});
  await place.install('@zlr/kernel-shim', '@zlr/state-store');
  const entry = join(place.app, 'entry.mjs');
  const imports = ['sysv', 'file', 'shim'].map(each => {
    writeFileSync(join(place.app, `${each}.mjs`), attempt(each));
    return `import {attempt as ${each}} from './${each}.mjs';`;
  });
  writeFileSync(
    entry,
    `${imports.join('\n')}
     Promise.all([sysv(), file(), shim()]).then(said => { console.log(JSON.stringify(said)); process.exit(); });`,
  );
  for (const [bundler, format] of [
    ['esbuild', 'esm'],
    ['esbuild', 'cjs'],
    ['rolldown', 'esm'],
    ['rolldown', 'cjs'],
  ] as const) {
    const name = `${bundler}-${format}.${format === 'esm' ? 'mjs' : 'cjs'}`;
    const output = join(place.app, name);
    if (bundler === 'esbuild')
      await esbuild({
        entryPoints: [entry],
        outfile: output,
        bundle: true,
        platform: 'node',
        format,
        logLevel: 'silent',
      });
    else await rolldown({input: entry, platform: 'node', output: {file: output, format}, logLevel: 'silent'});
    t.is((await place.node(name)).stdout, '[{"fine":true},{"fine":true},{"fine":true}]\n', name);

    const alone = mkdtempSync(join(made, 'alone-'));
    cpSync(output, join(alone, name));
    const said = JSON.parse((await run(process.execPath, [name], {cwd: alone, env: place.env})).stdout) as {
      code: string;
      message: string;
    }[];
    t.deepEqual(
      said.map(each => each.code),
      ['ERR_BACKEND', 'ERR_BACKEND', 'NATIVE_MISSING'],
      name,
    );
    for (const {message} of said) t.regex(message, /is bundled into .*external/, name);
  }
});

test('the copies of third parties carry their licences, and a patched one says so', async t => {
  const {folder, files} = await filesOf('@zlr/state-store');
  for (const major of MAJORS) {
    const {stdout} = await run(join(await nodePrefix(major), 'bin/node'), ['-p', 'process.versions.modules']);
    for (const name of ['shm-typed-array', 'mmap-io'])
      t.true(
        files.includes(`prebuilds/linux-${process.arch}-${stdout.trim()}/${name}/LICENSE`),
        `${name}, node ${major}`,
      );
  }
  for (const file of files.filter(each => each.endsWith('mmap-io.node'))) {
    const of = join(folder, file, '../../..');
    const text = readFileSync(join(of, 'PATCHED.md'), 'utf8');
    const named = [...text.matchAll(/^sha256 of (\S+): (\w+)$/gm)];
    t.deepEqual(
      named.map(([, each]) => each),
      ['mmap-io@1.1.7.patch', 'build/Release/mmap-io.node'],
    );
    for (const [, each, hash] of named)
      t.is<string | undefined, string | undefined>(
        createHash('sha256')
          .update(readFileSync(join(of, each!)))
          .digest('hex'),
        hash,
      );
  }
});
