/*
 * createServer: what its `input` consumes, answers and writes is one, connections and state are there after a kill, and
 * it ends in good order. The README's server is the one that is killed.
 */
import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {readFileSync} from 'node:fs';
import type {Readable} from 'node:stream';
import {fileURLToPath} from 'node:url';
import {createServer, HreadError, type Server, type ServerOptions, SLOT_SIZE} from '@zlr/hread';
import {t as type} from '@zlr/state-store';
import test, {type ExecutionContext} from 'ava';
import {Client} from './helpers/client.js';
import {ownExample} from './helpers/example.js';
import {eventually} from './helpers/loop-under-test.js';
import {Supervised} from './helpers/supervised.js';

// One after the other: each of these servers handles the process' signals.
const {serial} = test;

const example = fileURLToPath(new URL('../examples/line-server.mjs', import.meta.url));
const state = {lines: type.uint};
type State = typeof state;
let nextNumber = 1;

async function start(
  t: ExecutionContext,
  options: Omit<ServerOptions<State>, 'name' | 'state'>,
): Promise<{server: Server<State>; port: number}> {
  const name = `server-test-${process.pid}-${nextNumber++}`;
  const server = await createServer({name, state, ...options});
  t.teardown(() => server.close());
  const {port} = await server.listen({port: 0});
  return {server, port};
}

const lineEnd = (held: Buffer): number => held.indexOf('\n') + 1;

serial('a reply consumes and answers; without one the input stays held', async t => {
  const seen: string[] = [];
  const {server, port} = await start(t, {
    input({held, state, reply}) {
      seen.push(held.toString());
      if (lineEnd(held) === 0) return;
      state.lines++;
      reply(lineEnd(held), Buffer.from(`${state.lines}\n`));
    },
  });
  const client = await Client.open(port);
  client.send('one\ntw');
  await client.untilText('1\n');
  client.send('o\n');
  await client.untilText('2\n');
  t.deepEqual(seen, ['one\ntw', 'tw', 'two\n']);
  t.is(server.state.lines, 2);
  t.is(server.generation, 1);
  t.like(server.recovered, {recovered: 0, adopted: 0});
  await client.close();
});

serial('what is consumed without a reply does not keep what stands behind it from being seen', async t => {
  const {port} = await start(t, {
    input({held, state, reply, consume}) {
      const end = lineEnd(held);
      if (end === 0) return;
      if (held.toString('latin1', 0, end) === 'get\n') reply(end, `${state.lines}\n`);
      else {
        state.lines++;
        consume(end);
      }
    },
  });
  const client = await Client.open(port);
  client.send('set\nset\nset\nget\nset\nget\n');
  await client.untilText('3\n4\n');
  t.is(client.text, '3\n4\n');
  await client.close();
});

serial('it ends a connection with a reply or without one', async t => {
  const {port} = await start(t, {
    input({held, reply, close}) {
      if (held.includes('bye')) reply(held.length, 'bye', {close: true});
      else close();
    },
  });
  const polite = await Client.open(port);
  polite.send('bye');
  await polite.untilEnded();
  t.is(polite.text, 'bye');
  const other = await Client.open(port);
  other.send('x');
  await other.untilEnded();
  t.is(other.text, '');
  await Promise.all([polite.close(), other.close()]);
});

serial('options, addresses, counts and answers that cannot be are refused by name', async t => {
  const invalid = {instanceOf: HreadError, code: 'OPTION_INVALID'} as const;
  const name = `server-test-${process.pid}-${nextNumber++}`;
  const input = () => {};
  for (const wrong of [
    {conections: 3},
    {connections: '3'},
    {connections: 0},
    {idleSeconds: Number.NaN},
    {stateBytes: '1MB'},
    {state: 5},
    {input: 'x'},
  ])
    await t.throwsAsync(createServer({name, input, ...wrong} as never), invalid, JSON.stringify(wrong));
  await t.throwsAsync(createServer(undefined as never), invalid);

  const codes: unknown[] = [];
  const {server, port} = await start(t, {
    input({held, reply, consume}) {
      for (const wrong of [-1, 0.5, Number.NaN, '1', undefined, held.length + 1] as number[]) {
        for (const use of [consume, (count: number) => reply(count, 'x')]) {
          try {
            use(wrong);
          } catch (error) {
            codes.push((error as HreadError).code);
          }
        }
      }
      for (const [answer, how] of [[5], [null], ['x', {clsoe: true}], ['x', {close: 1}]])
        t.throws(() => reply(1, answer as never, how as never), invalid);
      reply(held.length, 'fine');
      t.throws(() => reply(0, 'x'), {code: 'REPLY_TWICE'});
    },
  });
  for (const where of [undefined, 8080, {prot: 0}, {port: '0'}, {port: 65_536}, {port: 0, host: 5}])
    await t.throwsAsync(server.listen(where as never), invalid, JSON.stringify(where));
  const client = await Client.open(port);
  client.send('x');
  await client.untilText('fine');
  t.deepEqual(codes, [...Array(10).fill('OPTION_INVALID'), 'HOLD_EXCEEDED', 'HOLD_EXCEEDED']);
  await client.close();
});

serial('a reply of a slot fits, one more byte is an error that says so', async t => {
  const errors: unknown[] = [];
  const {port} = await start(t, {
    input({held, reply}) {
      try {
        reply(held.length, 'x'.repeat(SLOT_SIZE + 1));
      } catch (error) {
        errors.push(error);
        reply(held.length, 'x'.repeat(SLOT_SIZE));
      }
    },
  });
  const client = await Client.open(port);
  client.send('x');
  await client.untilLength(SLOT_SIZE);
  const [error] = errors as HreadError[];
  t.true(error instanceof HreadError);
  t.is(error?.code, 'REPLY_TOO_LARGE');
  await client.close();
});

serial('connections beyond the number given wait for one to end', async t => {
  const {port} = await start(t, {
    connections: 2,
    input: ({held, reply}) => reply(held.length, held),
  });
  const clients = await Promise.all([1, 2, 3].map(() => Client.open(port)));
  clients.forEach((client, n) => {
    client.send(`${n}`);
  });
  await Promise.all([clients[0]!.untilText('0'), clients[1]!.untilText('1')]);
  await clients[0]!.close();
  await clients[2]!.untilText('2');
  t.deepEqual(
    clients.map(({text}) => text),
    ['0', '1', '2'],
  );
  await Promise.all(clients.map(client => client.close()));
});

serial('a quiet connection is ended', async t => {
  const {port} = await start(t, {idleSeconds: 1, input() {}});
  const client = await Client.open(port);
  await client.untilEnded();
  t.is(client.error, undefined);
  await client.close();
});

serial('to close it twice is to close it once, and leaves the process as it was', async t => {
  const before = process.listenerCount('SIGTERM');
  const {server, port} = await start(t, {input() {}});
  const client = await Client.open(port);
  client.send('held');
  await eventually(() => client.socket.bytesWritten === 4);
  client.end();
  await client.untilEnded();
  await Promise.all([server.close(), server.close(), server[Symbol.asyncDispose]()]);
  t.is(process.listenerCount('SIGTERM'), before);
  await client.close();
});

serial('when it cannot listen, it can still be closed', async t => {
  const {port} = await start(t, {input() {}});
  const second = await createServer({name: `server-test-${process.pid}-second`, input() {}});
  const error = await t.throwsAsync(second.listen({port}), {instanceOf: HreadError});
  t.is(error.errno, 'EADDRINUSE');
  await t.notThrowsAsync(second.close());
});

// --- the example ------------------------------------------------------------------------------------------------------

serial('the README shows the example as it is', t => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const shown = /```js\n([\s\S]*?)```/.exec(readme)?.[1];
  t.truthy(shown);
  t.true(readFileSync(example, 'utf8').endsWith(shown!));
});

serial('the example counts each line once, whatever kills it', async t => {
  const program = ownExample(t, example);
  const service = await Supervised.start(t, () => [process.execPath, program, '0']);
  const client = await Client.open(service.port);
  let count = 0;
  const ask = async (line: string): Promise<void> => {
    const answer = `${++count} ${line}\n`;
    await client.untilLength(answer.length);
    t.is(client.take().toString(), answer);
  };
  for (const [call, when] of [
    ['recv', 'half'],
    ['recv', 'after'],
    ['send', 'before'],
    ['send', 'half'],
    ['send', 'after'],
  ] as const) {
    const {generation} = service;
    service.arm(call, 1, when);
    client.send('a line\n');
    await ask('a line');
    await service.until(() => service.generation > generation);
    client.send('half ');
    process.kill(service.pid, 'SIGSEGV');
    await service.until(() => service.generation > generation + 1);
    client.send('a line\n');
    await ask('half a line');
  }
  await client.close();
});

type Child = ChildProcessByStdio<null, Readable, Readable>;

serial(
  'without a supervisor it is an ordinary server that ends in good order, however often it is told to',
  async t => {
    const child: Child = spawn(process.execPath, [ownExample(t, example), '0'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const closed = once(child, 'close');
    t.teardown(() => child.kill('SIGKILL')); // finds it gone, unless the test failed
    const [said] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
    const client = await Client.open(Number(/(\d+)\n$/.exec(said)?.[1]));
    client.send('hello\n');
    await client.untilText('1 hello\n');
    // Half a line keeps it waiting for the rest.
    client.send('half');
    const other = await Client.open(Number(/(\d+)\n$/.exec(said)?.[1]));
    other.send('seen\n');
    await other.untilText('2 seen\n');
    child.kill('SIGTERM');
    await other.untilEnded();
    child.kill('SIGTERM');
    child.kill('SIGINT');
    client.send(' a line\n');
    await client.untilText('3 half a line\n');
    await client.untilEnded();
    client.end();
    t.deepEqual(await closed, [0, null]);
    await Promise.all([client.close(), other.close()]);
  },
);

serial(
  'a state with other fields that a killed program left is taken over, and nothing of it is dropped unasked',
  async t => {
    const name = `server-test-${process.pid}-${nextNumber++}`;
    const code = `
    import {createServer} from '@zlr/hread';
    import {t} from '@zlr/state-store';
    const state = {lines: t.u32, old: t.string()};
    const server = await createServer({name: '${name}', state, connections: 200, input() {}});
    Object.assign(server.state, {lines: 7, old: 'text'});
    process.kill(process.pid, 'SIGKILL');
  `;
    const child = spawn(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      stdio: 'inherit',
    });
    t.deepEqual(await once(child, 'close'), [null, 'SIGKILL']);
    // Fewer connections than those that may be there lose nothing of the state, and are no word of the user's.
    const options = {name, state: {total: type.uint, version: type.u8}, connections: 100, input() {}};
    await t.throwsAsync(createServer(options), {message: /drop: \['lines', 'old'\]/});
    const server = await createServer({
      ...options,
      renames: {total: 'lines'},
      drop: ['old'],
      version: 2,
      migrate(_from, to) {
        to.version = 2;
      },
    });
    t.teardown(() => server.close());
    t.deepEqual([server.state.total, server.state.version], [7, 2]);
  },
);
