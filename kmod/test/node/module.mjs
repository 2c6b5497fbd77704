// The module as TypeScript's packages use it, in the guest: a service that asks for it by ZLR_BACKEND=module outlives
// its deaths with no keeper and no supervisor. Prints what the guest's other tests print.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {EventEmitter, once} from 'node:events';
import {mkdtempSync, readFileSync, writeFileSync} from 'node:fs';
import {connect, createServer} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

/** @param {string} path below the repository */
const at = path => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** A program whose lives all write to one pipe. */
class Service {
  /** @type {string[]} */
  lines = [];
  ended = false;
  /** @type {Service | undefined} */
  static last;
  /** @type {Set<() => void>} */
  #waiting = new Set();

  /** @param {readonly string[]} args @param {NodeJS.ProcessEnv} [env] */
  constructor(args, env = {}) {
    Service.last = this;
    const child = spawn(process.execPath, args, {
      env: {...process.env, ZLR_BACKEND: 'module', ...env},
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = /** @type {number} */ (child.pid);
    for (const stream of [child.stdout, child.stderr]) {
      createInterface(stream).on('line', line => {
        this.lines.push(line);
        // Whatever life said it.
        const taken = /\(pid (\d+)\) takes over/.exec(line);
        if (taken) this.pid = Number(taken[1]);
        this.#wake();
      });
    }
    // Not its exit: the pipe is closed when the last life has ended.
    this.closed = once(child, 'close').then(() => {
      this.ended = true;
      this.#wake();
    });
  }

  #wake() {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** The first line that matches and was not taken yet. @param {RegExp} pattern */
  async line(pattern) {
    for (;;) {
      const index = this.lines.findIndex(line => pattern.test(line));
      if (index >= 0) return /** @type {string} */ (this.lines.splice(0, index + 1).at(-1));
      if (this.ended) throw new Error(`the service ended without ${pattern}: ${this.lines.join('\n')}`);
      await new Promise(resolve => this.#waiting.add(() => resolve(undefined)));
    }
  }
}

/** @param {number} port */
async function open(port) {
  const socket = connect({port, host: '127.0.0.1', noDelay: true});
  await once(socket, 'connect');
  const lines = createInterface(socket)[Symbol.asyncIterator]();
  /** @param {string} text @returns {Promise<string>} */
  const ask = async text => {
    socket.write(`${text}\n`);
    return (await lines.next()).value;
  };
  return {socket, lines, ask};
}

/** The shim's own fixture: it says in JSON when it is up. @param {readonly string[]} plan */
const fixture = (...plan) =>
  new Service([
    '--no-warnings',
    at('packages/kernel-shim/test/fixtures/service.mjs'),
    at('packages/kernel-shim/dist'),
    ...plan,
  ]);

/** @param {readonly string[]} args the number of a service to stand by for, or nothing */
const streams = (...args) => new Service([at('kmod/test/node/stream-service.mjs'), ...args]);

/** @param {Service} service */
const up = async service => JSON.parse(await service.line(/^\{"up"/));

/** @type {Record<string, () => Promise<void>>} */
const tests = {
  async 'a connection outlives every kind of fault, and what is told of it is right'() {
    const service = fixture();
    const first = await up(service);
    assert.equal(first.up, 1);
    assert.equal(first.supervised, true);
    assert.equal(first.keeper, 0);
    assert.equal(first.env.ZLR_BACKEND, undefined);
    const client = await open(first.port);
    const {fd} = JSON.parse(await client.ask('who'));
    let generation = 1;
    for (const [fault, told] of /** @type {const} */ ([
      ['SIGSEGV', 'died of SIGSEGV'],
      ['SIGKILL', 'died of SIGKILL'],
      ['SIGABRT', 'died of SIGABRT'],
      ['exit 3', 'ended with exit code 3'],
      ['throw', 'ended with exit code 1'],
    ])) {
      client.socket.write(`${fault}\n`);
      const line = await service.line(/takes over/);
      assert.match(
        line,
        new RegExp(`generation ${generation} \\(pid \\d+\\) ${told}; generation ${generation + 1} `),
      );
      const next = await up(service);
      assert.equal(next.up, ++generation);
      assert.deepEqual(next.channels.toSorted(), [first.listener, fd].toSorted());
      assert.deepEqual(next.argv, first.argv);
      assert.deepEqual(next.execArgv, first.execArgv);
      assert.equal(next.cwd, first.cwd);
      const who = JSON.parse(await client.ask('who'));
      assert.deepEqual({generation: who.generation, fd: who.fd}, {generation, fd});
    }
    // Not inherited by what the service starts.
    const {env, fds} = JSON.parse(await client.ask('child'));
    assert.equal(env.ZLR_BACKEND, undefined);
    assert.ok(!fds.includes('/dev/zlr'));
    client.socket.write('orderly\n');
    await service.closed;
  },

  async 'who ends in good order is not followed'() {
    for (const fault of ['exit 0', 'exit 78', 'orderly']) {
      const service = fixture(fault);
      assert.equal((await up(service)).up, 1);
      await service.closed;
    }
    const asked = fixture();
    await up(asked);
    process.kill(asked.pid, 'SIGTERM');
    await asked.closed;
  },

  async 'no line is lost and none counted twice, through kills at random instants'() {
    const service = new Service([at('packages/hread/examples/line-server.mjs'), '0']);
    const port = Number((await service.line(/^listening on/)).split(' ').at(-1));
    const client = await open(port);
    for (let round = 1; round <= 3; round++) {
      // Half a line before the death, the other half after it.
      const answers = [];
      for (let i = 0; i < 10; i++) client.socket.write(`round ${round} line ${i}\n`);
      client.socket.write('half');
      for (let i = 0; i < round; i++) answers.push((await client.lines.next()).value);
      process.kill(service.pid, round % 2 ? 'SIGKILL' : 'SIGSEGV');
      client.socket.write(' done\n');
      while (answers.length < 11) answers.push((await client.lines.next()).value);
      await service.line(/takes over/);
      const start = (round - 1) * 11;
      for (let i = 0; i < 10; i++) assert.equal(answers[i], `${start + i + 1} round ${round} line ${i}`);
      assert.equal(answers[10], `${start + 11} half done`);
    }
    client.socket.destroy();
    process.kill(service.pid, 'SIGTERM');
    await service.closed;
  },

  async 'a stream held by the kernel does what a list of bytes would do, as HeldStream does'() {
    const {KernelStream, readBooks} = await import(at('packages/hread/dist/index.js'));
    const seed = Number(process.env['ZLR_SEED'] ?? Date.now() % 2 ** 31);
    console.log(`# ZLR_SEED=${seed}`);
    let state = seed;
    /** @param {number} below */
    const pick = below => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const server = createServer({pauseOnConnect: true}).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const client = connect(/** @type {import('node:net').AddressInfo} */ (server.address()).port);
    client.setNoDelay(true);
    const [socket] = await accepted;
    const {fd} = socket._handle;
    const stream = new KernelStream(fd);
    assert.equal(stream.hread(100), -1);
    /** @type {number[]} */
    const sent = [];
    let read = 0;
    let deleted = 0;
    for (let step = 0; step < 300; step++) {
      if (pick(2)) {
        const bytes = Buffer.from(Array.from({length: 1 + pick(pick(4) ? 300 : 20_000)}, () => pick(256)));
        sent.push(...bytes);
        client.write(bytes);
        while (readBooks(fd).unread < sent.length - read) await new Promise(resolve => setImmediate(resolve));
      }
      const rlen = pick(4) ? pick(9000) : 0;
      const dlen = pick(3) ? pick(read - deleted + 1) : 0;
      const comes = Math.min(rlen, sent.length - read);
      assert.equal(stream.hread(rlen, dlen), rlen > 0 && comes === 0 ? -1 : comes);
      read += comes;
      deleted += dlen;
      assert.equal(stream.length, read - deleted);
      assert.ok(stream.held.equals(Buffer.from(sent.slice(deleted, read))));
      assert.throws(() => stream.hread(0, read - deleted + 1), {code: 'HOLD_EXCEEDED'});
    }
    client.write('x');
    while (stream.hread(100_000) === -1) await new Promise(resolve => setImmediate(resolve));
    assert.throws(() => stream.hread(-1), {code: 'OPTION_INVALID'});
    assert.throws(() => new KernelStream(fd), {code: 'READ_FAILED'});
    stream.hread(0, stream.length);
    client.end();
    while (readBooks(fd).unread > 0) stream.hread(65_536, stream.length);
    while (stream.hread(65_536, stream.length) !== 0) await new Promise(resolve => setImmediate(resolve));
    socket.destroy();
    server.close();
  },

  async 'what a stream holds in the kernel is there in the next life'() {
    const service = streams();
    const first = await up(service);
    const client = await open(first.port);
    const told = async () => JSON.parse((await client.lines.next()).value);
    client.socket.write('abcdef');
    assert.deepEqual(await told(), {generation: 1, held: 'abcdef'});
    client.socket.write('gh!');
    assert.deepEqual(await told(), {generation: 1, held: 'gh!'});
    process.kill(first.pid, 'SIGKILL');
    const second = await up(service);
    assert.deepEqual(await told(), {generation: 2, held: 'gh!'});
    client.socket.write('ij');
    assert.deepEqual(await told(), {generation: 2, held: 'gh!ij'});
    // Attached segments are noted by one life and told to the next.
    assert.equal(first.noted, 1);
    assert.deepEqual(first.segments, []);
    assert.equal(second.segments.length, 1);
    assert.equal(second.segments[0].size, 2 ** 20);
    assert.equal(second.lives, 2);
    client.socket.destroy();
    process.kill(second.pid, 'SIGTERM');
    await service.closed;
  },

  async 'a standby takes the place of the one that dies'() {
    const service = streams();
    const first = await up(service);
    const client = await open(first.port);
    const told = async () => JSON.parse((await client.lines.next()).value);
    client.socket.write('abc');
    assert.deepEqual(await told(), {generation: 1, held: 'abc'});
    const standby = streams(first.service);
    await standby.line(/"standing"/);
    process.kill(first.pid, 'SIGSEGV');
    const second = await up(standby);
    assert.equal(second.pid, standby.pid);
    assert.equal(second.up, 2);
    assert.deepEqual(await told(), {generation: 2, held: 'abc'});
    await service.closed;
    client.socket.destroy();
    process.kill(second.pid, 'SIGTERM');
    await standby.closed;
    const nobody = streams('1');
    await nobody.line(/standing by failed: ESRCH/);
    await nobody.closed;
  },

  async 'torture: whole answers under kills, of zlr serve as it is'() {
    const folder = mkdtempSync(join(tmpdir(), 'zlr-served-'));
    const sizes = [100, 20_000, 1_000_000];
    for (const size of sizes) {
      writeFileSync(
        join(folder, `${size}.bin`),
        Uint8Array.from({length: size}, (_, i) => (i * 31) >> 3),
      );
    }
    const service = new Service([at('packages/zlr-http/dist/serve-main.js'), folder, '--name', 'tortured']);
    const port = Number((await service.line(/^listening on/)).split(':').at(-1));
    let over = false;
    let answers = 0;
    const answered = new EventEmitter();
    const clients = Array.from({length: 4}, async (_, number) => {
      const socket = connect({port, host: '127.0.0.1'});
      await once(socket, 'connect');
      /** @type {Buffer} */
      let have = Buffer.alloc(0);
      /** @type {(() => void) | undefined} */
      let wake;
      socket.on('data', chunk => {
        have = Buffer.concat([have, chunk]);
        wake?.();
      });
      /** @type {Error | undefined} */
      let broken;
      socket.on('close', () => {
        broken = new Error('the connection broke');
        wake?.();
      });
      const until = async (/** @type {() => boolean} */ done) => {
        while (!done()) {
          if (broken) throw broken;
          await new Promise(resolve => {
            wake = () => resolve(undefined);
          });
        }
      };
      for (let round = number; !over; round++) {
        const size = /** @type {number} */ (sizes[round % sizes.length]);
        socket.write(`GET /${size}.bin HTTP/1.1\r\nHost: here\r\n\r\n`);
        await until(() => have.includes('\r\n\r\n'));
        const head = have.subarray(0, have.indexOf('\r\n\r\n') + 4);
        assert.match(head.toString('latin1'), /^HTTP\/1\.1 200 /);
        await until(() => have.length >= head.length + size);
        assert.ok(
          have.subarray(head.length, head.length + size).equals(readFileSync(join(folder, `${size}.bin`))),
        );
        have = have.subarray(head.length + size);
        answers++;
        answered.emit('one');
      }
      socket.destroy();
    });
    const work = Promise.all(clients);
    for (const signal of /** @type {const} */ (['SIGKILL', 'SIGSEGV', 'SIGABRT', 'SIGKILL'])) {
      process.kill(service.pid, signal);
      await Promise.race([service.line(/goes on with/), work]);
      // It serves again before the next death comes.
      await Promise.race([once(answered, 'one'), work]);
      console.log(`# ${signal}: ${answers} answers, ${Math.round(performance.now())} ms`);
    }
    over = true;
    await work;
    console.log(`# ${answers} answers`);
    process.kill(service.pid, 'SIGTERM');
    await service.closed;
  },
};

writeFileSync('/sys/module/zlr/parameters/threshold_ms', '0');
let failed = 0;
const [wanted = ''] = process.argv.slice(2);
for (const [name, run] of Object.entries(tests).filter(([name]) => name.includes(wanted))) {
  const timer = setTimeout(() => {
    console.log(`not ok node: ${name}\n# it hangs`);
    for (const line of Service.last?.lines ?? []) console.log(`# it said: ${line}`);
    process.exit(1);
  }, 600_000);
  try {
    await run();
    console.log(`ok node: ${name}`);
  } catch (error) {
    failed++;
    console.log(`not ok node: ${name}`);
    for (const line of String(/** @type {Error} */ (error).stack).split('\n')) console.log(`# ${line}`);
  }
  clearTimeout(timer);
}
// A service of a test that failed may live still.
process.exit(failed > 0 ? 1 : 0);
