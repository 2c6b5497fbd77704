/**
 * Proves that systemd is told what it waits for: with the real protocol, datagrams to the socket that NOTIFY_SOCKET names.
 *
 * To see it fail: in foreground.ts do not tell; in systemd.ts leave its variables in the environment.
 */
import {type ChildProcessByStdio, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, readFileSync} from 'node:fs';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import test from 'ava';
import {CommandLine, zlr} from './command-line.js';

/** Perl, which Debian always has: Node knows no datagrams of unix sockets. It says each as one line, and where it waits first. */
const LISTENER = `use Socket;
$| = 1;
my $name = $ARGV[0];
socket(my $socket, AF_UNIX, SOCK_DGRAM, 0) or die $!;
$name =~ s/^@/\\0/;
bind($socket, pack_sockaddr_un($name)) or die $!;
print "bound\\n";
while (defined recv($socket, my $message, 4096, 0)) { $message =~ s/\\n/ /g; print "$message\\n"; }`;

class Manager {
  readonly messages: string[] = [];
  #wake: (() => void) | undefined;

  constructor(listener: ChildProcessByStdio<null, Readable, null>) {
    createInterface(listener.stdout).on('line', line => {
      this.messages.push(line);
      this.#wake?.();
    });
  }

  async until(condition: (messages: string[]) => boolean): Promise<void> {
    while (!condition(this.messages))
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
  }
}

for (const [what, nameOf] of [
  ['in the file system', (folder: string) => join(folder, 'notify')],
  ['of the abstract names', () => `@zlr-notify-${process.pid}`],
] as const)
  test(`a service manager whose socket is ${what} hears of readiness, of life and of the end`, async t => {
    const cli = new CommandLine(t);
    const folder = join(cli.runDir, 'served');
    mkdirSync(folder);
    const name = nameOf(cli.runDir);
    const listener = spawn('perl', ['-e', LISTENER, name], {stdio: ['ignore', 'pipe', 'inherit']});
    t.teardown(() => listener.kill());
    const manager = new Manager(listener);
    await manager.until(messages => messages.includes('bound'));

    const child = spawn(
      process.execPath,
      [zlr, 'serve', folder, '--port', '0', '--name', cli.serviceName, '--threshold', '0'],
      {
        env: {...process.env, ZLR_RUN_DIR: cli.runDir, NOTIFY_SOCKET: name, WATCHDOG_USEC: '200000'},
        stdio: 'ignore',
      },
    );
    t.teardown(() => child.kill('SIGTERM'));
    const exited = once(child, 'exit');
    const isReady = (message: string): boolean =>
      message ===
      `READY=1 STATUS=${cli.serviceName} is served, and followed when it faults MAINPID=${child.pid}`;
    await manager.until(messages => messages.some(isReady));
    const {pid} = JSON.parse((await cli.run('status', '--json')).stdout) as {pid: number};
    t.notRegex(readFileSync(`/proc/${pid}/environ`, 'latin1'), /NOTIFY_SOCKET|WATCHDOG_/);

    // A fault is nothing that a manager hears of: the supervisor lives, and says so.
    process.kill(pid, 'SIGKILL');
    const pings = manager.messages.length;
    await manager.until(messages => messages.slice(pings).filter(each => each === 'WATCHDOG=1').length >= 3);
    t.is(manager.messages.filter(isReady).length, 1);
    child.kill('SIGTERM');
    await manager.until(messages => messages.includes('STOPPING=1'));
    t.deepEqual(await exited, [0, null]);
  });

test('where nobody listens, or the name cannot be, a service runs as ever', async t => {
  for (const name of ['/nowhere/at/all', `/${'long/'.repeat(40)}`, '@', '']) {
    const cli = new CommandLine(t);
    const child = spawn(
      process.execPath,
      [zlr, 'run', '--name', cli.serviceName, '--', process.execPath, '-e', '0'],
      {
        env: {...process.env, ZLR_RUN_DIR: cli.runDir, NOTIFY_SOCKET: name, WATCHDOG_USEC: 'soon'},
        stdio: 'ignore',
      },
    );
    t.deepEqual(await once(child, 'exit'), [0, null]);
  }
});
