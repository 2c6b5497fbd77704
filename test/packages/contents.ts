/* What is in a package: all that it needs, nothing that is of use here alone, and a manifest that tells the truth. */
import {createHash} from 'node:crypto';
import {existsSync, readFileSync} from 'node:fs';
import {dirname, join} from 'node:path';
import test from 'ava';
import {MAJORS, nodePrefix} from '../../scripts/nodes.mjs';
import {filesOf} from './packages.js';
import {manifestOf, ours, root, run} from './packed.js';

const REPOSITORY = 'https://github.com/zlr-project/zlr';

for (const name of ours.keys()) {
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
    // webpack takes a createRequire that is imported by name for its own, and makes of it what is no function.
    for (const file of files.filter(each => /^dist\/.*\.js$/.test(each)))
      t.notRegex(readFileSync(join(folder, file), 'utf8'), /import \{[^}]*\bcreateRequire\b/, file);
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
    const {dependencies = {}, optionalDependencies = {}, peerDependencies = {}} = manifestOf(folder);
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
      Object.keys({...dependencies, ...optionalDependencies, ...peerDependencies}).sort(),
    );
  });
}

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
