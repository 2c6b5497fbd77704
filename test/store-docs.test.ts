/* The pages of the state store are true: their programs are run as they stand, their tables are compared with the source. */
import {execFile} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {openStore} from '@zlr/state-store';
import type {ExecutionContext} from 'ava';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'packages/state-store/src');
const readme = readFileSync(join(root, 'packages/state-store/README.md'), 'utf8');
const run = promisify(execFile);

/** A folder from which '@zlr/state-store' is found, gone after the test. */
function folder(t: ExecutionContext): string {
  mkdirSync(join(root, 'out'), {recursive: true});
  const made = mkdtempSync(join(root, 'out', 'store-docs-'));
  t.teardown(() => rmSync(made, {recursive: true}));
  return made;
}

async function output(script: string, ...args: string[]): Promise<string> {
  return (await run(process.execPath, [script, ...args])).stdout;
}

for (const backend of ['memory', 'sysv', 'file']) {
  test(`the README's example runs on '${backend}', and counts on where the store outlives its process`, async t => {
    const code = /```js\n(\/\/ shop\.mjs[\s\S]*?)```/.exec(readme)?.[1];
    t.truthy(code, 'the README has the example');
    const made = folder(t);
    // Only its name is changed: the tests of another checkout may run at the same time.
    const name = `readme-${process.pid}`;
    const [script, path] = [join(made, 'shop.mjs'), join(made, 'shop.store')];
    writeFileSync(script, code!.replace("name: 'shop'", `name: '${name}'`));
    t.teardown(async () => {
      if (backend === 'sysv')
        (await openStore({name, schema: shopSchema(await import('@zlr/state-store'))})).destroy();
    });
    const record = '{"page":"/cart","bytes":5120,"stage":"done"}';
    t.is(await output(script, backend, path), `start 1, 1 hits, ${record}\n`);
    const again = backend === 'memory' ? 'start 1, 1 hits' : 'start 2, 2 hits';
    t.is(await output(script, backend, path), `${again}, ${record}\n`);
  });
}

function shopSchema({struct, t: ty}: typeof import('@zlr/state-store')) {
  const Visit = struct('Visit', {
    page: ty.string(),
    bytes: ty.uint,
    stage: ty.enum('reading', 'sending', 'done'),
  });
  return {starts: ty.uint, visits: ty.table(Visit), hits: ty.map(ty.string(), ty.u32)};
}

test("the README's table of errors is that of the source, and each code is thrown somewhere", t => {
  const declared = [
    ...readFileSync(join(source, 'errors.ts'), 'utf8').matchAll(/^ {2}\| '(ERR_\w+)';? \/\/ (.*)$/gm),
  ].map(match => [match[1]!, match[2]!]);
  const shown = [...readme.matchAll(/^\| `(ERR_\w+)` \| (.*) \|$/gm)].map(match => [match[1]!, match[2]!]);
  t.true(declared.length > 10);
  t.deepEqual(shown, declared);
  const code = readdirSync(source, {recursive: true, encoding: 'utf8'})
    .filter(file => file.endsWith('.ts') && file !== 'errors.ts')
    .map(file => readFileSync(join(source, file), 'utf8'))
    .join('');
  for (const [name] of declared) t.true(code.includes(`'${name}'`), `nothing throws ${name}`);
});

test("the README's table of types and collections names everything that t has", async t => {
  const {t: types} = await import('@zlr/state-store');
  for (const name of Object.keys(types)) t.regex(readme, new RegExp(`\`t\\.${name}\\b`), `t.${name}`);
});

test("the format's table of the header is that of the source: each field, its offset, no overlap", async t => {
  const {at, HEADER_BYTES, NAME_BYTES, VERSION} = await import(
    '../packages/state-store/src/segment/header.js'
  );
  const page = readFileSync(join(root, 'docs/state-store/format.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (\d+) \| (\w+) \| ([^|]+) \| .* \|$/gm)].map(match => ({
    offset: Number(match[1]),
    name: match[2]!,
    size: match[3]!.split(', ').reduce((sum, part) => sum + bytesOf(part), 0),
  }));
  const {writersCount, ...offsets} = at;
  t.deepEqual(Object.fromEntries(rows.map(({name, offset}) => [name, offset])), offsets);
  for (const [i, {offset, size, name}] of rows.entries())
    t.true(offset + size <= (rows[i + 1]?.offset ?? HEADER_BYTES), name);
  t.is(rows.find(row => row.name === 'writers')!.size, writersCount * 8);
  t.is(rows.find(row => row.name === 'name')!.size, 4 + NAME_BYTES);
  t.regex(page, new RegExp(`format version \\*\\*${VERSION}\\*\\*`));
});

function bytesOf(part: string): number {
  const [, count = '1', type] = /^(?:(\d+) x )?(u32|u64|f64|\d+)$/.exec(part.trim())!;
  return Number(count) * ({u32: 4, u64: 8, f64: 8}[type!] ?? Number(type));
}

test('the numbers of the format page are those of the source', async t => {
  const page = readFileSync(join(root, 'docs/state-store/format.md'), 'utf8');
  const {BUILDING, READY, MOVED} = await import('../packages/state-store/src/segment/header.js');
  const {USED, FREE, ENCLOSED, CLASSES, classSize} = await import(
    '../packages/state-store/src/segment/heap.js'
  );
  for (const [name, value] of Object.entries({BUILDING, READY, MOVED, USED, FREE, ENCLOSED}))
    t.true(page.includes(`${name} 0x${value.toString(16)}`), name);
  t.true(page.includes(`${CLASSES} x u32`));
  const size = (i: number) => (i < 7 ? i + 2 : (5 + ((i - 7) % 4)) * 2 ** (Math.floor((i - 7) / 4) + 1));
  for (let i = 0; i < CLASSES; i++) t.is(classSize(i), size(i));
  const {slotsHeadCells} = await import('../packages/state-store/src/collections/slots.js');
  t.is(slotsHeadCells(true) * 8, 224);
});

/** Of every type and collection something, by a program that is then killed in a transaction. */
const everything = `
import {writeFileSync} from 'node:fs';
import {openStore, struct, t} from '@zlr/state-store';
const Point = struct('Point', {x: t.i16, y: t.f32, name: t.string()});
const All = struct('All', {
  a: t.u8, b: t.i8, c: t.u16, d: t.i32, e: t.u64, f: t.i64, g: t.uint, h: t.f64, i: t.bool, j: t.enum('no', 'yes', 'maybe'),
  k: t.timestamp, l: t.string(13), m: t.bytes(5), n: t.string(), o: t.bytes(), p: t.array(t.u16, 3), q: t.array(Point, 2),
  r: t.union({n: t.u8, point: Point}), s: Point, u: t.ref(() => All), v: t.i32.optional(), w: t.string().optional(), y: t.address, z: t.u32,
});
const schema = {
  count: t.uint, table: t.table(All), few: t.table(Point, {capacity: 3}), byText: t.map(t.string(), Point),
  byBytes: t.map(t.bytes(), t.u8), byNumber: t.map(t.i64, t.string()), chosen: t.map(t.string(), t.u16),
  chosenBytes: t.map(t.bytes(), t.u16), chosenNumber: t.map(t.u32, t.u16), vector: t.vector(t.bool), points: t.vector(Point),
  ring: t.ring(t.u16, 5), list: t.list(t.string()), sorted: t.sorted(t.string(), t.f64), times: t.sorted(t.timestamp, Point),
};
const store = await openStore({name: process.argv[2], path: process.argv[3], backend: 'file', size: '384KB', logSize: '128KB', maxSize: '8MB', schema});
const {root} = store;
for (let n = 0; n < 300; n++) {
  const text = 'text '.repeat(n % 23) + (n % 3 ? n : 'wide \\u20ac' + n);
  const point = {x: -n, y: n / 4, name: text};
  const record = root.table.insert({
    a: n % 256, b: -n % 100, c: n, d: -n, e: 2n ** 63n + BigInt(n), f: -BigInt(n), g: 2 ** 52 + n, h: n / 7, i: n % 2 === 0,
    j: 'maybe', k: 1e12 + n, l: 'fix ' + n, m: Buffer.from([n % 7, 1, 2, 3, 4]), n: text, o: Buffer.from(text),
    p: [n, 1, 2], q: [point, point], r: n % 2 ? {tag: 'n', value: 3} : {tag: 'point', value: point}, s: point,
    v: n % 2 ? n : null, w: n % 3 ? text : null, z: n,
  });
  if (n % 5 === 0) record.u = record.y = record;
  root.byText.set(text, point);
  root.byBytes.set(Buffer.from(text.slice(0, 20 + n % 20)), n % 200);
  root.byNumber.set(BigInt(n) << 40n, text);
  root.vector.push(n % 3 === 0);
  root.points.push(point);
  root.ring.push(n);
  root.list[n % 2 ? 'push' : 'unshift'](text);
  root.sorted.set(text, n);
  root.times.set(1e12 + (n * 7919) % 300, point);
  root.count++;
}
root.few.insert({x: 1});
// Keys that collide, so that these maps hash with a secret; of the numbers the last ten bits of the hash are 0.
for (let n = 0; n < 300; n++) {
  const text = Array.from({length: 9}, (_, i) => n >> i & 1 ? 'aaa\xe1aa\x60\xe1' : 'aaaaaaaa').join('');
  root.chosen.set(text, n);
  root.chosenBytes.set(Buffer.from(text, 'latin1'), n);
}
for (let key = 0; root.chosenNumber.size < 300; key++) {
  const mixed = Math.imul(Math.imul(key, 0x9e3779b1) ^ Math.imul(key, 0x9e3779b1) >>> 15, 0x85ebca6b);
  if (((mixed ^ mixed >>> 13) & 1023) === 0) root.chosenNumber.set(key, root.chosenNumber.size);
}
const first = [...root.table][0];
root.table.remove([...root.table][4]);
first.u = [...root.table][8];
for (const key of [...root.byText.keys()].slice(10, 60)) root.byText.delete(key);
for (const key of [...root.sorted.keys()].slice(10, 60)) root.sorted.delete(key);
root.vector.pop();
root.list.shift();
const plainly = (_key, v) => typeof v === 'bigint' ? v + 'n' : v instanceof Uint8Array ? [...v] : v;
writeFileSync(process.argv[4], JSON.stringify(store.toJSON(), plainly, 1));
store.transaction(() => {
  for (const record of root.table) { record.n = 'torn'; root.byText.set('torn ' + record.z, {}); }
  root.count = 0;
  process.kill(process.pid, 'SIGKILL');
  for (;;);
});
`;

test('a reader written from the format page alone reads every type and collection as the library does', async t => {
  const made = folder(t);
  const [script, path] = [join(made, 'everything.mjs'), join(made, 'all.store')];
  writeFileSync(script, everything);
  const expected = join(made, 'expected.json');
  const killed = run(process.execPath, [script, `format-${process.pid}`, path, expected]);
  t.is((await t.throwsAsync<Error & {signal: string}>(killed))?.signal, 'SIGKILL');
  const segment = readFileSync(path);
  t.not(segment.readUInt32LE(256), segment.readUInt32LE(260), 'a transaction was under way');
  t.true(segment.length > 384 * 1024, 'it has grown');
  const {readStore} = await import('@zlr/state-store');
  const store = await readStore({name: `format-${process.pid}`, backend: 'file', path});
  for (const name of ['chosen', 'chosenBytes', 'chosenNumber']) {
    const {word} = (store.root[name] as unknown as {index: {word: number}}).index;
    t.not(segment.readUInt32LE((word + 3) * 4), 0, `${name} has a secret`);
  }
  store.close();
  const reader = join(root, 'docs/state-store/read-segment.mjs');
  const read = (await run(process.execPath, [reader, path], {maxBuffer: 2 ** 26})).stdout;
  t.true(read.length > 100_000);
  t.true(
    read === `${readFileSync(expected, 'utf8')}\n`,
    'what it reads of the killed store is what was committed',
  );
});

test('the same reader reads what was set aside', async t => {
  const {struct, t: ty} = await import('@zlr/state-store');
  const Part = struct(
    'Part',
    {n: ty.i64, name: ty.string()},
    {
      validate({n}) {
        if (n < 0n) throw new Error(`n is ${n}`);
      },
    },
  );
  const where = {
    name: `aside-${process.pid}`,
    backend: 'file',
    path: join(folder(t), 'aside.store'),
  } as const;
  const schema = {parts: ty.map(ty.string(), Part)};
  const maker = await openStore({...where, size: '256KB', schema});
  for (const n of [1n, -2n, 3n, -4n]) maker.root.parts.set(`part ${n}`, {n, name: 'λ'.repeat(40)});
  maker.close();
  const store = await openStore({...where, schema});
  const expected = store.quarantine();
  t.is(expected.length, 2);
  store.close();
  const reader = join(root, 'docs/state-store/read-segment.mjs');
  t.deepEqual(JSON.parse(await output(reader, where.path, '--quarantine')), expected);
});

const examples = join(root, 'examples/store');
for (const file of readdirSync(examples).filter(name => name.endsWith('.mjs')))
  test(`examples/store/${file} prints what its comments say`, async t => {
    const said = [...readFileSync(join(examples, file), 'utf8').matchAll(/\/\/> (.*)$/gm)].map(
      match => match[1]!,
    );
    t.true(said.length > 2);
    const name = `example-${file}-${process.pid}`;
    const {stdout} = await run(process.execPath, [join(examples, file), name]);
    t.deepEqual(stdout.trimEnd().split('\n'), said);
  });

test('there is an example of each collection', t => {
  const collections = [...readme.matchAll(/^\| `t\.(\w+)\(.*\| .*\|$/gm)].map(match => match[1]!);
  const shown = readdirSync(examples).map(file => file.replace('.mjs', ''));
  for (const name of ['table', 'map', 'sorted', 'vector', 'ring', 'list']) {
    t.true(collections.includes(name), name);
    t.true(shown.includes(name), name);
  }
});

test('the pieces of the guide run one after the other and print what their comments say', async t => {
  const guide = readFileSync(join(root, 'docs/state-store/guide.md'), 'utf8');
  const made = folder(t);
  const name = `guide-${process.pid}`;
  const pieces = [...guide.matchAll(/```js\n\/\/ (\w+\.mjs)( dies of SIGKILL)?\n([\s\S]*?)```/g)];
  t.is(pieces.length, 9);
  for (const [, file, dies, code] of pieces) {
    const script = join(made, file!);
    writeFileSync(script, code!.replaceAll("name: 'guide'", `name: '${name}'`));
    if (dies) {
      t.is(
        (await t.throwsAsync<Error & {signal: string}>(run(process.execPath, [script])))?.signal,
        'SIGKILL',
      );
      continue;
    }
    const said = [...code!.matchAll(/\/\/> (.*)$/gm)].map(match => `${match[1]}\n`);
    t.is(await output(script), said.join(''), file);
  }
});

test('every method and function that the README names is there', async t => {
  const library = (await import('@zlr/state-store')) as unknown as Record<string, unknown>;
  const {struct, t: ty} = await import('@zlr/state-store');
  const One = struct('One', {n: ty.u8});
  const store = await openStore({
    name: `methods-${process.pid}`,
    size: '1MB',
    backend: 'memory',
    schema: {
      table: ty.table(One),
      map: ty.map(ty.u8, ty.u8),
      sorted: ty.sorted(ty.u8, ty.u8),
      vector: ty.vector(ty.u8),
      ring: ty.ring(ty.u8, 2),
      list: ty.list(ty.u8),
    },
  });
  t.teardown(() => store.destroy());
  const collections = store.root as unknown as Record<string, object>;
  let checked = 0;
  for (const [, name, text] of readme.matchAll(/^\| `t\.(\w+)\(.*?\)` \| (.*) \|$/gm)) {
    const collection = collections[name!];
    if (collection === undefined) continue;
    for (const [, code] of text!.matchAll(/`([^`]+)`/g))
      for (const method of code!.replace(/\(.*?\)/g, '').split(' ')) {
        if (/^[a-z]\w+$/.test(method) && method !== 'capacity')
          t.true(method in collection, `${name}.${method}`);
        checked++;
      }
  }
  for (const [, method] of readme.matchAll(/`store\.(\w+)\(/g)) {
    t.true(method! in store, `store.${method}`);
    checked++;
  }
  for (const [, name] of readme.matchAll(/^\| .*?`((?:open|read|dump|load|list|remove)Stores?)\(/gm))
    t.true(name! in library, name);
  t.true(checked > 50);
});
