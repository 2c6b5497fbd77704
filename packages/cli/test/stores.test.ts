/*
 * The commands about stores: on stores that this process writes meanwhile, so that readers meet a live writer. One after
 * the other, since `zlr ls` attaches every store for as long as it looks, and `zlr rm` removes only what nobody has.
 */
import {spawnSync} from 'node:child_process';
import {randomUUID} from 'node:crypto';
import {existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {gzipSync} from 'node:zlib';
import {openStore, removeStore, StoreError, struct, t} from '@zlr/state-store';
import test, {type ExecutionContext} from 'ava';
import {CommandLine} from './command-line.js';

const Order = struct('Order', {item: t.string(), count: t.u32});
const schema = {
  served: t.uint,
  orders: t.table(Order, {capacity: 100}),
  hits: t.map(t.string(), t.uint),
  slots: t.raw(4096),
};

async function makeStore(t: ExecutionContext) {
  const name = `cli-${randomUUID().slice(0, 8)}`;
  const store = await openStore({name, size: '1MB', schema});
  t.teardown(async () => {
    store.close();
    (await openStore({name, schema})).destroy();
  });
  store.root.served = 7;
  store.root.orders.insert({item: 'tea', count: 2});
  store.root.hits.set('/', 41);
  return {name, store};
}

/** The key of a store's segment. */
async function keyOf(zlr: CommandLine, name: string): Promise<number> {
  const listed = JSON.parse((await zlr.run('ls', '--json')).stdout) as {name: string; key: string}[];
  return Number(listed.find(each => each.name === name)!.key);
}

function scratch(t: ExecutionContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-cli-stores-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  return folder;
}

test.serial('inspect shows a store by its own schema, whole or by a path', async t => {
  const {name} = await makeStore(t);
  const zlr = new CommandLine(t);
  const whole = await zlr.run('inspect', name, '--json');
  t.deepEqual(JSON.parse(whole.stdout), {
    served: 7,
    orders: 'table of 1',
    hits: 'map of 1',
    slots: '4096 bytes of plain memory',
  });
  t.is((await zlr.run('inspect', name, 'orders.0.item')).stdout, '"tea"\n');
  t.is((await zlr.run('inspect', name, 'hits./', '--json')).stdout, '41\n');
  const wrong = await zlr.run('inspect', name, 'nothing');
  t.is(wrong.exitCode, 1);
  t.regex(wrong.stderr, /has no field 'nothing'; it has served, orders, hits, slots/);
});

test.serial('inspect --watch prints each change, until Ctrl-C', async t => {
  const {name, store} = await makeStore(t);
  const watching = new CommandLine(t).start('inspect', name, 'served', '--json', '--watch');
  t.is(await watching.line(), '7');
  store.transaction(() => {
    store.root.served = 8;
  });
  t.is(await watching.line(), '8');
  store.transaction(() => {
    store.root.served = 9;
  });
  t.is(await watching.line(), '9');
  watching.pressCtrlC();
  t.is((await watching.outcome).exitCode, 0);
});

test.serial('ls knows the writer, and what is orphaned; rm removes only what nobody uses', async t => {
  const {name, store} = await makeStore(t);
  const zlr = new CommandLine(t);
  const list = async () =>
    (
      JSON.parse((await zlr.run('ls', '--json')).stdout) as {
        name: string;
        owner: number | null;
        orphaned: boolean;
      }[]
    ).find(each => each.name === name);
  t.like(await list(), {owner: process.pid, orphaned: false});
  const refused = await zlr.run('rm', name);
  t.is(refused.exitCode, 1);
  t.regex(refused.stderr, new RegExp(`'${name}' is in use: process ${process.pid} writes it`));
  t.is(store.root.served, 7, 'nothing was touched');
  const gone = await zlr.run('rm', 'no-such-store');
  t.regex(gone.stderr, /there is no store 'no-such-store'/);
});

test.serial('rm waits for one who only looks', async t => {
  const {name} = await makeStore(t);
  const zlr = new CommandLine(t);
  const [copy, dump] = [`${name}-copy`, join(scratch(t), 'dump.gz')];
  await zlr.run('dump', name, '--output', dump);
  await zlr.run('load', copy, '--input', dump);
  const key = `${(await keyOf(zlr, copy)) | 0}`;
  /** Who attached it, or let go of it, last. */
  const lastPid = () => {
    const rows = readFileSync('/proc/sysvipc/shm', 'latin1').split('\n');
    return Number(rows.map(row => row.trim().split(/\s+/)).find(row => row[0] === key)![5]);
  };
  const looking = zlr.start('inspect', copy, 'served', '--watch');
  t.is(await looking.line(), '7');
  const looker = lastPid();
  const removal = zlr.run('rm', copy);
  while (lastPid() === looker) await new Promise(setImmediate); // it is about to see that there is another
  looking.pressCtrlC();
  await looking.outcome;
  t.deepEqual(await removal, {exitCode: 0, stdout: '', stderr: ''});
});

test('ls says how to remove what nobody uses; rm --orphaned removes all of it and nothing else', async t => {
  // In a namespace of its own, for all stores of this user would be removed.
  const script = fileURLToPath(new URL('orphans.ts', import.meta.url));
  const run = (...flags: string[]) =>
    spawnSync('unshare', [...flags, '--ipc', process.execPath, '--import=tsx', script], {encoding: 'utf8'});
  const plain = run();
  const {status, stdout, stderr} = plain.status === 0 ? plain : run('--map-root-user');
  if (/unshare failed|not permitted/.test(stderr)) {
    t.regex((await new CommandLine(t).run('rm', '--orphaned', 'x')).stderr, /not both/);
    return;
  }
  t.is(status, 0, stderr);
  const {before, removed, after} = JSON.parse(stdout) as {before: string; removed: string; after: string};
  t.regex(before, /^closed-\d+ .* {2}orphaned; remove it with: zlr rm closed-\d+$/m);
  t.regex(before, /^left-\d+ .* {2}orphaned; remove it with: zlr rm left-\d+$/m);
  t.regex(before, /^attached-\d+ .* {2}attached 1$/m);
  t.deepEqual(removed.match(/^removed [a-z]+/gm), ['removed closed', 'removed left']);
  t.deepEqual(after.match(/^[a-z]+/gm), ['attached', 'written']);
});

test.serial('a dump loads under another name, in memory and in a file, and is checked', async t => {
  const {name} = await makeStore(t);
  const zlr = new CommandLine(t);
  const folder = scratch(t);
  const dump = join(folder, 'dump.gz');
  t.is((await zlr.run('dump', name, '--output', dump)).exitCode, 0);

  const copy = `${name}-copy`;
  t.is((await zlr.run('load', copy, '--input', dump)).exitCode, 0);
  t.is((await zlr.run('inspect', copy, 'orders.0.count')).stdout, '2\n');
  t.is((await zlr.run('check', copy)).stdout, 'ok\n');
  const again = await zlr.run('load', copy, '--input', dump);
  t.regex(again.stderr, /there is a store at .* already; remove it first/);
  const bell = `/dev/shm/zlr-${process.getuid!()}-${statSync('/proc/self/ns/ipc').ino}-${(await keyOf(zlr, copy)).toString(16)}.bell`;
  t.false(existsSync(bell));
  const watching = zlr.start('inspect', copy, 'served', '--watch'); // makes the store's bell
  t.is(await watching.line(), '7');
  watching.pressCtrlC();
  await watching.outcome;
  t.true(existsSync(bell));
  t.is((await zlr.run('rm', copy)).exitCode, 0, 'nobody has it attached');
  t.false(existsSync(bell), 'its bell goes with it');
  t.is((await zlr.run('inspect', copy)).exitCode, 1);

  const file = join(folder, 'shop.store');
  t.is((await zlr.run('load', 'shop', '--file', file, '--input', dump)).exitCode, 0);
  t.is((await zlr.run('inspect', '--file', file, 'served')).stdout, '7\n');
  t.deepEqual(JSON.parse((await zlr.run('check', '--file', file, '--json')).stdout), {
    ok: true,
    problems: [],
    quarantined: 0,
  });
});

test.serial('check --repair sets aside what is damaged; inspect, check and ls tell of it', async t => {
  const {name, store} = await makeStore(t);
  const zlr = new CommandLine(t);
  const busy = await zlr.run('check', name, '--repair');
  t.is(busy.exitCode, 1);
  t.regex(busy.stderr, new RegExp(`is being written by process ${process.pid}`));
  const tea = store.root.orders.get(0)!;
  store.root.orders.insert({item: 'coffee', count: 3});
  new Uint32Array(store.memory.buffer, store.memory.byteOffset)[store.layout('orders').byteOffset / 4] = 5; // no block
  t.throws(() => tea.item, {code: 'ERR_CORRUPT'});
  store.close();
  const found = await zlr.run('check', name);
  t.deepEqual(
    [found.exitCode, found.stdout.split('\n')[0]],
    [1, 'orders[0].item: names cell 5 as its block, but there is none'],
  );
  const repaired = await zlr.run('check', name, '--repair');
  t.is(repaired.exitCode, 0, repaired.stderr);
  t.is(
    repaired.stdout,
    'set aside: orders 0: orders[0].item names cell 5 as its block, but there is none\nok\n',
  );
  t.is((await zlr.run('check', name)).stdout, 'ok\n1 set aside; see zlr inspect --quarantine\n');
  t.deepEqual(JSON.parse((await zlr.run('check', name, '--json')).stdout), {
    ok: true,
    problems: [],
    quarantined: 1,
  });
  t.regex((await zlr.run('ls')).stdout, new RegExp(`${name} .*1 set aside`));
  const [entry] = JSON.parse((await zlr.run('inspect', name, '--quarantine')).stdout) as {value: unknown}[];
  t.like(entry, {collection: 'orders', id: 0, value: {count: 2}});
  t.is((await zlr.run('inspect', name, 'orders')).stdout.includes('coffee'), true);
  const again = await zlr.run('check', name, '--repair', '--json');
  t.deepEqual(JSON.parse(again.stdout), {ok: true, problems: [], setAside: []});
  const wrong = await zlr.run('inspect', name, 'orders', '--quarantine');
  t.is(wrong.exitCode, 2);
  t.regex(wrong.stderr, /--quarantine stands alone/);
});

test.serial('what is no dump is refused, and nothing is made of it', async t => {
  const zlr = new CommandLine(t);
  const name = `cli-${randomUUID().slice(0, 8)}`;
  const outcome = await zlr.run('load', name, '--input', new URL(import.meta.url).pathname);
  t.is(outcome.exitCode, 1);
  t.regex(outcome.stderr, /this is no dump of a store/);
  t.throws(() => removeStore(name), {instanceOf: StoreError, code: 'ERR_NOT_FOUND'});
});

test.serial('a command about a store says what it lacks', async t => {
  const zlr = new CommandLine(t);
  for (const [args, message] of [
    [['inspect'], /no store was named/],
    [['check', 'a', 'b'], /'b' is too much/],
    [['load'], /no name was given/],
    [['rm'], /no store was named/],
  ] as const) {
    const outcome = await zlr.run(...args);
    t.is(outcome.exitCode, 2);
    t.regex(outcome.stderr, message);
  }
});

test.serial(
  'a store or a snapshot that is damaged, missing or no file is one line and exit code 1, whatever looks at it',
  async t => {
    const zlr = new CommandLine(t);
    const folder = scratch(t);
    const at = (name: string) => join(folder, name);
    const store = await openStore({name: 'there', backend: 'file', path: at('there'), size: '1MB', schema});
    store.close();
    t.is((await zlr.run('dump', '--file', at('there'), '--output', at('dump'))).exitCode, 0);
    const [whole, dump] = [readFileSync(at('there')), readFileSync(at('dump'))];
    const files: Record<string, Uint8Array> = {
      'cut to no multiple of 8': whole.subarray(0, 700_001),
      'cut to a header': whole.subarray(0, 4096),
      'a header with a wrong byte': whole.map((byte, i) => (i === 100 ? byte ^ 1 : byte)),
      'a wrong schema': whole.map((byte, i) => (i > whole.readUInt32LE(136) * 8 && i < 500_000 ? 255 : byte)),
      'a few bytes': Buffer.from('no store'),
      empty: Buffer.alloc(0),
    };
    const refused = async (what: string, ...args: string[]) => {
      const {exitCode, stderr} = await zlr.run(...args);
      t.is(exitCode, 1, what);
      t.regex(stderr, /^zlr: [^\n]{10,}\n$/, what);
    };
    for (const [what, bytes] of Object.entries(files)) {
      writeFileSync(at('damaged'), bytes, {mode: 0o600});
      for (const [command, ...rest] of [['check'], ['check', '--repair']] as const)
        await refused(`${what}: ${command} ${rest}`, command, '--file', at('damaged'), ...rest);
    }
    spawnSync('mkfifo', [at('fifo')]);
    for (const path of ['fifo', 'missing/file', '.'])
      for (const command of ['inspect', 'dump']) await refused(path, command, '--file', at(path));
    const dumps: Record<string, Uint8Array> = {
      'cut off': dump.subarray(0, dump.length / 2),
      'a wrong byte': dump.map((byte, i) => (i === dump.length >> 1 ? byte ^ 4 : byte)),
      'no gzip': whole,
      'more than it says': gzipSync(Buffer.concat([whole, Buffer.alloc(2 ** 24)])),
      empty: Buffer.alloc(0),
    };
    for (const [what, bytes] of Object.entries(dumps)) {
      writeFileSync(at('snapshot'), bytes);
      await refused(what, 'load', 'loaded', '--file', at('loaded'), '--input', at('snapshot'));
      t.false(existsSync(at('loaded')), what);
    }
    await refused('no snapshot', 'load', 'loaded', '--file', at('loaded'), '--input', at('missing'));
    await refused('no such name', 'load', 'no name', '--file', at('loaded'), '--input', at('dump'));
    await refused('nowhere to', 'load', 'loaded', '--file', at('missing/loaded'), '--input', at('dump'));
    await refused('nowhere to', 'dump', '--file', at('there'), '--output', at('missing/dump'));
  },
);
