/*
 * createServer: what its `input` consumes, answers and writes is one, connections and state are there after a kill, and
 * it ends in good order. The README's server is the one that is killed.
 */
import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {Readable} from 'node:stream';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import {createServer, HreadError, type ServerOptions, type Unit} from '@zlr/hread';
import {t as type} from '@zlr/state-store';
import test, {type ExecutionContext} from 'ava';
import {Client} from './helpers/client.js';
import {ownExample} from './helpers/example.js';
import {eventually} from './helpers/loop-under-test.js';
import {Supervised} from './helpers/supervised.js';

// What is poison here is kept where nobody is to see it.
process.env['ZLR_CAPSULES'] = mkdtempSync(join(tmpdir(), 'zlr-capsules-'));
process.once('exit', () => rmSync(process.env['ZLR_CAPSULES']!, {recursive: true, force: true}));

// One after the other: each of these servers handles the process' signals.
const {serial} = test;

const example = fileURLToPath(new URL('../examples/line-server.mjs', import.meta.url));
const state = {lines: type.uint};
const fields = {nick: type.string(32)};
type State = typeof state;
type Own = typeof fields;
type Options = Omit<ServerOptions<State, Own>, 'name' | 'state' | 'connection'>;
type TestServer = Awaited<ReturnType<typeof createServer<State, Own>>>;
type TestConnection = Parameters<Options['input']>[0];
let nextNumber = 1;

async function start(t: ExecutionContext, options: Options): Promise<{server: TestServer; port: number}> {
  const name = `server-test-${process.pid}-${nextNumber++}`;
  const server = await createServer({name, state, connection: fields, ...options});
  t.teardown(() => server.close());
  const {port} = await server.listen({port: 0});
  return {server, port};
}

const lineEnd = (held: Buffer): number => held.indexOf('\n') + 1;

/** A line of the held ones, consumed; undefined while it is not whole. */
function takeLine(connection: TestConnection, {held}: {held: Buffer}): string | undefined {
  const end = lineEnd(held);
  if (end === 0) return undefined;
  connection.consume(end);
  return held.toString('utf8', 0, end - 1);
}

serial('what is consumed and sent is one; what is not consumed stays held', async t => {
  const seen: string[] = [];
  const {server, port} = await start(t, {
    input(connection, {held}) {
      seen.push(held.toString());
      if (takeLine(connection, {held}) === undefined) return;
      server.state.lines++;
      connection.send(Buffer.from(`${server.state.lines}\n`));
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

serial('an asynchronous input consumes and answers in commit; meanwhile it is not called again', async t => {
  let atWork = 0;
  let most = 0;
  const {server, port} = await start(t, {
    async input(connection, {held}) {
      most = Math.max(most, ++atWork);
      const end = lineEnd(held);
      await nextTurn();
      await nextTurn();
      if (end > 0)
        connection.commit(end, () => {
          server.state.lines++;
          connection.send(`${server.state.lines} ${held.toString('utf8', 0, end)}`);
        });
      atWork--;
    },
  });
  const client = await Client.open(port);
  client.send('a\nb\nc');
  await client.untilText('2 b\n');
  client.send('\n');
  await client.untilText('3 c\n');
  t.is(client.text, '1 a\n2 b\n3 c\n');
  t.is(most, 1);
  await client.close();
});

serial(
  'a request that is used when its call is over throws, and so does a connection that has gone',
  async t => {
    const units: Unit<never>[] = [];
    const connections: TestConnection[] = [];
    const {port} = await start(t, {
      input(connection, unit) {
        units.push(unit as never);
        connections.push(connection);
        connection.consume(connection.heldBytes).end();
      },
    });
    const client = await Client.open(port);
    client.send('x');
    await client.untilEnded();
    t.throws(() => units[0]!.held, {code: 'REQUEST_OVER'});
    t.throws(() => units[0]!.signal, {code: 'REQUEST_OVER'});
    await client.close();
    const [connection] = connections;
    await eventually(() => connection!.closed);
    t.throws(() => connection!.commit(0), {code: 'CONNECTION_CLOSED'});
    t.notThrows(() => connection!.send('late').end(), 'what is sent to one that has gone is dropped');
  },
);

serial('what is sent to others in a transaction that throws is not sent, nor consumed', async t => {
  let isBroken = true;
  const {server, port} = await start(t, {
    input(connection, unit) {
      const line = takeLine(connection, unit);
      if (line === undefined) return;
      server.state.lines++;
      for (const other of server.connections) other.send(`${server.state.lines} ${line}\n`);
      if (!isBroken) return;
      isBroken = false;
      throw new Error('once');
    },
  });
  const [a, b] = await Promise.all([Client.open(port), Client.open(port)]);
  await eventually(() => server.connections.size === 2);
  a.send('hello\n');
  await Promise.all([a.untilText('hello\n'), b.untilText('hello\n')]);
  t.deepEqual([a.text, b.text], ['1 hello\n', '1 hello\n']);
  await Promise.all([a.close(), b.close()]);
});

serial('input that throws twice is poison: its connection hears of it, nobody else does', async t => {
  let tries = 0;
  const poisoned: string[] = [];
  const why: string[] = [];
  const {server, port} = await start(t, {
    input(connection, unit) {
      const line = takeLine(connection, unit);
      if (line === 'bad') {
        tries++;
        server.state.lines = 1000;
        throw new Error('cannot be');
      }
      if (line !== undefined) connection.send(`${line}\n`);
    },
    poison(connection, unit, error) {
      poisoned.push(`${unit.toString()}${(error as Error).message}`);
      connection.send('500\n').end();
    },
    closed: (_, reason) => void why.push(reason),
  });
  const [good, bad] = await Promise.all([Client.open(port), Client.open(port)]);
  bad.send('bad\n');
  await bad.untilEnded();
  t.is(bad.text, '500\n');
  t.is(tries, 2);
  t.deepEqual(poisoned, ['bad\ncannot be']);
  t.is(server.state.lines, 0, 'what it wrote is undone');
  good.send('good\n');
  await good.untilText('good\n');
  await bad.close();
  await eventually(() => why.length === 1);
  t.deepEqual(why, ['poison']);
  await good.close();
});

serial('an asynchronous input that throws, and one without a handler for poison', async t => {
  const {port} = await start(t, {
    async input() {
      await nextTurn();
      throw new Error('cannot be');
    },
  });
  const client = await Client.open(port);
  client.send('bad\n');
  await client.untilEnded();
  t.is(client.text, '');
  await client.close();
});

serial('fields of a connection, its id, and what is pushed to it at any time', async t => {
  const opened: number[] = [];
  const {server, port} = await start(t, {
    open(connection) {
      opened.push(connection.id);
      connection.data.nick = 'nobody';
      connection.send('welcome\n');
    },
    input(connection, unit) {
      const line = takeLine(connection, unit);
      if (line !== undefined) connection.data.nick = line;
    },
  });
  const clients = await Promise.all([1, 2, 3].map(() => Client.open(port)));
  await Promise.all(clients.map(client => client.untilText('welcome\n')));
  clients[0]!.send('ann\n');
  const nicks = (): string[] => [...server.connections].map(({data}) => data.nick);
  await eventually(() => nicks().includes('ann'));
  t.deepEqual(nicks().sort(), ['ann', 'nobody', 'nobody']);
  t.deepEqual([...server.connections].map(({id}) => id).sort(), opened.sort());
  for (const id of opened) server.connections.get(id)!.send(`you are ${id}\n`);
  await Promise.all(clients.map(client => client.untilText('you are')));
  t.is(server.connections.get(-1), undefined);
  t.false([...server.connections][0]!.recovered);
  await Promise.all(clients.map(client => client.close()));
});

serial('units and answers of hundreds of kilobytes, and files, come whole and in order', async t => {
  const file = fileURLToPath(import.meta.url);
  const {port} = await start(t, {
    input(connection) {
      if (connection.heldBytes < 4) return;
      const length = connection.peek(4).readUInt32BE();
      if (connection.heldBytes < 4 + length) return;
      const body = connection.peek(4 + length).subarray(4);
      connection.commit(4 + length, () => {
        connection.send('<').sendFile(file, {start: 10, end: 300}).send(body).send('>');
      });
    },
  });
  const client = await Client.open(port);
  const part = readFileSync(file).subarray(10, 300);
  for (const size of [0, 1, 511, 512, 513, 32_768, 400_000, 1_000_000]) {
    const body = Buffer.from(Array.from({length: size}, (_, n) => (n * 7) % 251));
    const head = Buffer.alloc(4);
    head.writeUInt32BE(size);
    client.take();
    client.send(Buffer.concat([head, body]));
    const expected = Buffer.concat([Buffer.from('<'), part, body, Buffer.from('>')]);
    await client.untilLength(expected.length);
    t.true(client.bytes.equals(expected), `${size}`);
  }
  await client.close();
});

serial('a unit that is longer than may be held ends its connection', async t => {
  const why: string[] = [];
  const {port} = await start(t, {
    unitBytes: 100_000,
    input() {},
    closed: (_, reason) => void why.push(reason),
  });
  const client = await Client.open(port);
  client.send(Buffer.alloc(400_000));
  await client.untilEnded();
  await eventually(() => why.length === 1);
  t.deepEqual(why, ['overdue']);
  await client.close();
});

serial('backpressure: writable, drained, and the end of one who does not read', async t => {
  const why: string[] = [];
  let pushing: Promise<void> | undefined;
  let drains = 0;
  const chunk = Buffer.alloc(20_000, 'x');
  const {server, port} = await start(t, {
    outputBytes: 300_000,
    input(connection, unit) {
      const line = takeLine(connection, unit);
      if (line === 'flood') {
        const flood = (): void => {
          if (connection.closed) return;
          connection.send(chunk);
          setImmediate(flood);
        };
        flood();
      } else if (line === 'stream') {
        pushing = (async () => {
          for (let n = 0; n < 1000; n++) {
            connection.send(chunk);
            if (connection.writable) continue;
            drains++;
            await connection.drained();
          }
        })();
      }
    },
    closed: (_, reason) => void why.push(reason),
  });
  const reader = await Client.open(port, {read: false});
  reader.send('stream\n');
  await eventually(() => drains > 0);
  reader.socket.resume();
  await reader.untilLength(1000 * chunk.length);
  await pushing;
  t.true(drains > 1);
  await reader.close();
  await eventually(() => server.connections.size === 0);
  const idler = await Client.open(port, {read: false});
  idler.send('flood\n');
  await eventually(() => why.length === 2);
  t.deepEqual(why, ['ended', 'slow']);
  await idler.close();
});

serial('a line that came before a reset counts', async t => {
  let letGo: (() => void) | undefined;
  const {server, port} = await start(t, {
    async input(connection, {held, signal}) {
      if (lineEnd(held) === 0) return;
      await new Promise<void>(resolve => {
        letGo = resolve;
        if (signal.aborted) resolve();
        signal.addEventListener('abort', () => resolve());
      });
      connection.commit(lineEnd(held), () => server.state.lines++);
    },
  });
  const client = await Client.open(port);
  client.send('one\ntwo\nthree\n');
  await eventually(() => letGo !== undefined);
  client.reset();
  await eventually(() => server.connections.size === 0);
  t.is(server.state.lines, 3);
});

serial('options, addresses and counts that cannot be are refused by name', async t => {
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
    {open: 5},
    {throws: 'up'},
    {stop: 'now'},
    {unitBytes: 5},
  ])
    await t.throwsAsync(createServer({name, input, ...wrong} as never), invalid, JSON.stringify(wrong));
  await t.throwsAsync(createServer(undefined as never), invalid);

  const codes: unknown[] = [];
  const {server, port} = await start(t, {
    input(connection, {held}) {
      for (const wrong of [-1, 0.5, Number.NaN, '1', undefined, held.length + 1] as number[]) {
        for (const use of [() => connection.consume(wrong), () => connection.commit(wrong)]) {
          try {
            use();
          } catch (error) {
            codes.push((error as HreadError).code);
          }
        }
      }
      for (const data of [5, null]) t.throws(() => connection.send(data as never), invalid);
      t.throws(() => connection.sendFile('/etc/passwd', {start: -1}), invalid);
      t.throws(() => connection.sendFile('/etc/passwd', {end: 2 ** 40}), invalid);
      connection.consume(held.length).send('fine');
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

serial('connections beyond the number given wait for one to end', async t => {
  const {port} = await start(t, {
    connections: 2,
    input: (connection, {held}) => void connection.consume(held.length).send(held),
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
