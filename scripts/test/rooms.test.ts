/*
 * Each folder below a package's src is a room that imports only from rooms below it; biome.json has their order. To see it
 * fail: make a folder that biome.json does not know, or take a pattern out of it.
 */
import {spawnSync} from 'node:child_process';
import {existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test from 'ava';

const root = fileURLToPath(new URL('../..', import.meta.url));

interface Override {
  includes: string[];
  linter: {rules: {style: {noRestrictedImports: {options: {patterns: {group: string[]}[]}}}}};
}

const {overrides} = JSON.parse(readFileSync(`${root}/biome.json`, 'utf8')) as {overrides: Override[]};
const barred = new Map(
  overrides.map(({includes, linter}) => [
    includes[0],
    linter.rules.style.noRestrictedImports.options.patterns.flatMap(({group}) => group),
  ]),
);

for (const name of readdirSync(`${root}/packages`)) {
  const source = `packages/${name}/src`;
  if (!existsSync(`${root}/${source}`)) continue;
  const rooms = readdirSync(`${root}/${source}`, {withFileTypes: true})
    .filter(each => each.isDirectory())
    .map(each => each.name);
  if (rooms.length === 0) continue;
  test(`the rooms of ${name} stand one above the other, and each is kept from those above it`, t => {
    const above = (room: string) => barred.get(`${source}/${room}/**`);
    for (const room of rooms) t.truthy(above(room), `${source}/${room} has no rule in biome.json`);
    const order = rooms.toSorted((a, b) => above(b)!.length - above(a)!.length);
    for (const [floor, room] of order.entries())
      t.deepEqual(
        above(room)!.toSorted(),
        ['../index.js', ...order.slice(floor + 1).map(each => `../${each}/**`)].toSorted(),
        room,
      );
  });
}

test('lint refuses an import from a room above, and a circle of types alone', t => {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-rooms-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const source = join(folder, 'packages/state-store/src');
  for (const room of ['segment', 'store']) mkdirSync(join(source, room), {recursive: true});
  const config = JSON.parse(readFileSync(join(root, 'biome.json'), 'utf8')) as object;
  writeFileSync(join(folder, 'biome.json'), JSON.stringify({...config, vcs: {enabled: false}}));
  writeFileSync(
    join(source, 'segment/heap.ts'),
    "import type {Store} from '../store/store.js';\nexport type Heap = Store;\n",
  );
  writeFileSync(
    join(source, 'store/store.ts'),
    "import type {Heap} from '../segment/heap.js';\nexport type Store = {heap: Heap};\n",
  );
  const {stdout, stderr, status} = spawnSync(
    join(root, 'node_modules/.bin/biome'),
    ['lint', '--colors=off'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  );
  t.not(status, 0);
  t.regex(stdout + stderr, /segment\/heap\.ts:1:\d+ lint\/style\/noRestrictedImports/);
  t.regex(stdout + stderr, /store\/store\.ts:1:\d+ lint\/suspicious\/noImportCycles/);
});
