/* How the packages are found: by import and require(), by TypeScript, by bundlers. */
import {cpSync, mkdtempSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {checkPackage, createPackageFromTarballData} from '@arethetypeswrong/core';
import test from 'ava';
import {build as esbuild} from 'esbuild';
import {build as rolldown} from 'rolldown';
import {MAJORS, nodePrefix} from '../../scripts/nodes.mjs';
import {attempt} from './attempt.js';
import {made, packed, registry} from './packages.js';
import {manifestOf, ours, Place, run} from './packed.js';

for (const name of ours.keys()) {
  const {exports: entries, main} = manifestOf(ours.get(name)!);
  if (main === undefined) continue; // a command line: nobody imports it

  test(`${name}: its types are found by every way of resolving`, async t => {
    const {problems} = (await checkPackage(createPackageFromTarballData(packed(name).tarball), {
      // Programs, and what is of this repository alone.
      excludeEntrypoints: ['./serve-main', './register', './keep-ports', './internal'],
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
