/* The compiled parts: carried, compiled, or missing, which is said with its cause and what to do. */
import {existsSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import test from 'ava';
import {attempt} from './attempt.js';
import {filesOf, made, packages, packed, registry} from './packages.js';
import {found, Place, run, serve, without} from './packed.js';
import {examples} from './readme-examples.js';

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
  // Without the addon no store is touched: the module that maps them removes at its end what nobody else has attached.
  const name = `bare-${process.pid}`;
  const {openStore, t: type} = await import('@zlr/state-store');
  const options = {name, schema: {n: type.u32}};
  (await openStore({...options, size: '1MB'})).close();
  t.regex(
    await place.failure(zlr, 'ls'),
    /^zlr: backends 'sysv' and 'file' cannot .*npm rebuild @zlr\/kernel-shim\. /,
  );
  (await openStore(options)).destroy();
  const said = await place.failure(zlr, 'run', '--name', `bare-${process.pid}`, '--', 'node', '-e', '0');
  t.regex(
    said,
    /^zlr: the native part of @zlr\/kernel-shim .* is carried for no platform, .*npm rebuild @zlr\/kernel-shim\n$/,
  );
});

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

  const copies = join(place.installed('@zlr/state-store'), 'prebuilds');
  renameSync(copies, `${copies}-away`);
  for (const backend of ['sysv', 'file']) {
    const said = await outcome(backend);
    t.is(said['code'], 'ERR_BACKEND');
    t.regex(said['message'] as string, /no copy is carried for linux-/);
  }
  renameSync(`${copies}-away`, copies);

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
  for (const backend of ['sysv', 'shim'] as const) {
    const said = await outcome(backend);
    t.is(said['code'], codes[backend]);
    t.regex(said['message'] as string, /is carried for no platform, not for linux-\w+ with glibc/);
  }
});

test('the addon is carried for every platform there is a compiler for, needs no newer C library than Node, and loads under musl', async t => {
  const {folder, files} = await filesOf('@zlr/kernel-shim');
  const carried = files.filter(file => file.endsWith('.node'));
  const targets = [
    [`linux-${process.arch}/zlr.glibc.node`, 'cc'],
    [`linux-${process.arch}/zlr.musl.node`, 'musl-gcc'],
    ['linux-arm64/zlr.glibc.node', 'aarch64-linux-gnu-gcc'],
  ] as const;
  for (const [file, compiler] of targets)
    if (found(compiler)) t.true(carried.includes(`prebuilds/${file}`), `${file} by ${compiler}`);
  for (const file of carried) {
    const {stdout: symbols} = await run('nm', ['--dynamic', join(folder, file)]);
    for (const [version, minor] of symbols.matchAll(/GLIBC_2\.(\d+)/g))
      t.true(Number(minor) <= 28, `${file} needs ${version}, Node 20 only 2.28`);
    const {stdout: dynamic} = await run('readelf', ['--dynamic', join(folder, file)]);
    const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, library]) => library);
    t.deepEqual(needed, [file.includes('musl') ? 'libc.so' : 'libc.so.6'], file);

    if (!file.includes('musl')) continue;
    // There is no Node for musl on npm: a program of musl that has the symbols of Node loads it.
    const work = mkdtempSync(join(made, 'musl-'));
    const stubs = [...symbols.matchAll(/ U ((?:napi|uv)_\w+)/g)].map(([, name]) => `void ${name}(void) {}`);
    const main = `int main(int argc, char **argv) {
      void *addon = dlopen(argv[argc - 1], RTLD_NOW);
      puts(addon == NULL ? dlerror() : dlsym(addon, "napi_register_module_v1") == NULL ? "no entry" : "loaded");
    }`;
    writeFileSync(
      join(work, 'host.c'),
      `#include <dlfcn.h>\n#include <stdio.h>\n${stubs.join('\n')}\n${main}\n`,
    );
    await run('musl-gcc', ['-rdynamic', '-o', 'host', 'host.c'], {cwd: work});
    t.is((await run(join(work, 'host'), [join(folder, file)])).stdout, 'loaded\n');
  }
});
