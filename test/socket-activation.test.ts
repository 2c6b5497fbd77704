/**
 * Proves that a service uses the listening socket that systemd opened for it, with those who connected before there was a process at
 * all: a perl script does what systemd does, and starts `zlr run` when the first client is there. That client's connection outlives the
 * service like any other, though it came before anything could mark its socket.
 *
 * To see it fail: in native/channels/sockets.c take no given socket; in native/reactor/reactor.c or addon_exchange.c (begin) do not mark a
 * connection.
 */
import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {connect, type Socket} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface, type Interface} from 'node:readline';
import type {Readable} from 'node:stream';
import {fileURLToPath, pathToFileURL} from 'node:url';
import test, {type ExecutionContext} from 'ava';

const zlr = fileURLToPath(new URL('../packages/cli/bin/zlr.js', import.meta.url));
const hread = pathToFileURL(fileURLToPath(new URL('../packages/hread/dist/index.js', import.meta.url))).href;

/** man 3 sd_listen_fds: the socket is descriptor 3, and whose it is says the pid. */
const ACTIVATOR = `use POSIX; use Socket;
$| = 1;
$^F = 9; # what has a number up to this is inherited
socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
bind($socket, sockaddr_in(0, inet_aton('127.0.0.1'))) or die $!;
listen($socket, 64) or die $!;
my ($port) = sockaddr_in(getsockname($socket));
print "port $port\\n";
my $ready = ''; vec($ready, fileno($socket), 1) = 1;
select($ready, undef, undef, undef);
POSIX::dup2(fileno($socket), 3) or die $!;
$ENV{LISTEN_PID} = $$; $ENV{LISTEN_FDS} = 1; $ENV{PORT} = $port;
exec @ARGV or die $!;`;

/** Each answers the lines it gets with the number of the line and its pid. */
const programs: Record<string, {options: string[]; keeps: boolean; script: string}> = {
  'a server on @zlr/hread': {
    options: [],
    keeps: true,
    script: `import(${JSON.stringify(hread)}).then(async ({createServer}) => {
      const server = await createServer({name: process.env.NAME, input(connection, {held}) {
        const end = held.indexOf('\\n\\r\\n');
        if (end >= 0) connection.consume(end + 3).send('HTTP/1.1 200 OK\\r\\nContent-Length: 6\\r\\n\\r\\nanswer');
      }});
      await server.listen({port: +process.env.PORT});
      console.log(process.pid);
    });`,
  },
  'an unchanged node:http server under --http': {
    options: ['--http'],
    keeps: true,
    script: `require('node:http').createServer((_, response) => response.end('answer'))
      .listen(+process.env.PORT, '127.0.0.1', () => console.log(process.pid));`,
  },
  'a server under --keep-ports': {
    options: ['--keep-ports'],
    keeps: false,
    script: `require('node:http').createServer((_, response) => response.end('answer'))
      .listen(+process.env.PORT, '127.0.0.1', () => console.log(process.pid));`,
  },
  'a program that takes the socket itself, and nothing of ours in it': {
    options: [],
    keeps: false,
    script: `if (+process.env.LISTEN_PID !== process.pid || process.env.LISTEN_FDS !== '1') throw new Error('not for this process');
      require('node:http').createServer((_, response) => response.end('answer'))
        .listen({fd: 3}, () => console.log(process.pid));`,
  },
};

class Asking {
  readonly #socket: Socket;
  ended = false;

  constructor(port: number) {
    this.#socket = connect({port, host: '127.0.0.1', noDelay: true}).setEncoding('latin1');
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.ended = true;
    });
  }

  /** False: the connection ended before the answer was whole. */
  async answered(): Promise<boolean> {
    let answer = '';
    this.#socket.write('GET / HTTP/1.1\r\nHost: activated\r\n\r\n');
    while (!answer.endsWith('answer')) {
      const closed = once(this.#socket, 'close').then(() => undefined);
      const data = once(this.#socket, 'data').then(([text]) => text as string);
      const more = this.ended ? undefined : await Promise.race([data, closed]);
      if (more === undefined) return false;
      answer += more;
    }
    return true;
  }

  close(): void {
    this.#socket.destroy();
  }
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

class Activated {
  readonly #lines: AsyncIterator<string>;
  log = '';

  constructor(t: ExecutionContext, options: readonly string[], script: string) {
    const folder = mkdtempSync(join(tmpdir(), 'zlr-activated-'));
    writeFileSync(join(folder, 'program.cjs'), script);
    const name = `activated-${process.pid}-${options.join('')}`;
    const run = [zlr, 'run', '--name', name, '--threshold', '0', ...options];
    const child: Child = spawn(
      'perl',
      ['-e', ACTIVATOR, process.execPath, ...run, '--', process.execPath, join(folder, 'program.cjs')],
      {
        env: {...process.env, ZLR_RUN_DIR: join(folder, 'run'), NAME: name},
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const closed = once(child, 'close');
    const lines: Interface = createInterface(child.stdout);
    this.#lines = lines[Symbol.asyncIterator]();
    child.stderr.setEncoding('utf8').on('data', text => {
      this.log += text;
    });
    t.teardown(async () => {
      child.kill('SIGTERM');
      await closed;
      rmSync(folder, {recursive: true});
      if (!t.passed) t.log(this.log);
    });
  }

  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done) throw new Error(`it ended: ${this.log}`);
    return next.value;
  }
}

for (const [what, {options, keeps, script}] of Object.entries(programs))
  test.serial(
    `${what}: a client that came before there was a process is served, and those who come later`,
    async t => {
      t.timeout(60_000);
      const service = new Activated(t, options, script);
      const port = Number((await service.line()).replace('port ', ''));
      const early = new Asking(port);
      t.teardown(() => early.close());
      const first = early.answered();
      let pid = Number(await service.line());
      t.true(await first, 'nobody has to connect again');
      for (let life = 1; life <= 3; life++) {
        process.kill(pid, 'SIGKILL');
        const between = new Asking(port);
        const answered = between.answered();
        pid = Number(await service.line());
        t.true(await answered, `connected in between, life ${life}`);
        between.close();
        if (keeps) t.true(await early.answered(), `the first connection, life ${life}`);
      }
    },
  );
