/**
 * Proves that another user of the machine, and a service that has given up its privileges, can neither command a supervisor nor its
 * keepers, nor have them start anything; and that what anybody sends them harms nobody.
 *
 * To see it fail: do not look at the uid in control/server.ts, in supervisor.ts (#replan) or in native/keeper/alone.c (answer_door).
 */
import {spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {chmodSync, existsSync, mkdtempSync, rmSync} from 'node:fs';
import {connect} from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {Random} from '../../../test/support/random.js';
import {Client, Supervised} from './supervised.js';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const NOBODY = 65534;
const AS_NOBODY = [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups'];

/** Only root can become somebody else. */
function isRoot(t: ExecutionContext): boolean {
  if (process.getuid!() === 0) return true;
  t.log('not tested: only root can become another user');
  t.pass();
  return false;
}

/*
 * Perl, which Debian always has: Node knows no SOCK_SEQPACKET. It reads words of hexadecimal digits, a connection a line, and says
 * what came of each.
 */
const SPEAKER = `use Socket;
$SIG{PIPE} = 'IGNORE';
my ($path, $kind) = @ARGV;
while (my $line = <STDIN>) {
  socket(my $socket, AF_UNIX, $kind, 0) or die $!;
  if (!connect($socket, sockaddr_un($path))) { print "$!\n"; next; }
  for my $word (split ' ', $line) { send($socket, pack('H*', $word), 0); }
  shutdown($socket, 1);
  my $answer = '';
  recv($socket, $answer, 65536, 0);
  print length $answer ? unpack('H*', $answer) : 'nothing', "\n";
}`;
const KINDS = {stream: '1', words: '5'};

/** Sends to a unix socket, and gives what became of each line; as another user if that is said. */
function speak(
  path: string,
  kind: keyof typeof KINDS,
  lines: readonly string[],
  as: readonly string[] = [],
): string[] {
  const command = [...(as.length > 0 ? ['setpriv', ...as] : []), 'perl', '-e', SPEAKER, path, KINDS[kind]];
  const {stdout, stderr} = spawnSync(command[0]!, command.slice(1), {
    input: `${lines.join('\n')}\n`,
    encoding: 'utf8',
    timeout: 20_000,
  });
  if (stderr !== '') throw new Error(stderr);
  return stdout.trim().split('\n');
}

/** A word as include/zlr/control.h draws it, of nothing but a kind. */
function word(kind: number): string {
  const bytes = Buffer.alloc(40);
  bytes.writeUInt32LE(kind, 0);
  return bytes.toString('hex');
}

const STOP = 81;
const ADOPT = 80;

test.serial('another user cannot command a service, with a supervisor or without', async t => {
  if (!isRoot(t)) return;
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const folder = join(service.runDir, service.name);
  const control = join(folder, 'control.sock');
  const door = join(folder, 'door.sock');
  const json = Buffer.from('{"type":"stop"}\n').toString('hex');
  const words = [word(STOP), word(ADOPT)];
  t.deepEqual(speak(control, 'stream', [json], AS_NOBODY), ['Permission denied']);
  // As if the folder were open to all: who is at the other end counts.
  for (const path of [service.runDir, folder]) chmodSync(path, 0o711);
  for (const path of [control, door]) chmodSync(path, 0o777);
  t.deepEqual(speak(control, 'stream', [json], AS_NOBODY), ['nothing']);
  t.deepEqual(speak(door, 'words', words, AS_NOBODY), ['nothing', 'nothing']);
  t.is((await client.who()).generation, 1);

  await service.killSupervisor();
  process.kill(up.pid, 'SIGKILL');
  await service.next('up');
  let heard: string[];
  do {
    // The keepers' own now, whose present one opens it in its own time.
    if (existsSync(door)) chmodSync(door, 0o777);
    heard = speak(door, 'words', words, AS_NOBODY);
  } while (heard.some(each => each !== 'nothing'));
  const {pid} = await client.who();
  process.kill(pid, 'SIGKILL');
  await service.next('up');
  t.is((await client.who()).generation, 3, 'it was not stopped');
});

test.serial('a folder that another user has made is believed by nobody', async t => {
  if (!isRoot(t)) return;
  const runDir = mkdtempSync(join(tmpdir(), 'zlr-squat-'));
  t.teardown(() => rmSync(runDir, {recursive: true}));
  const made = spawnSync('chown', [`${NOBODY}:${NOBODY}`, runDir]);
  t.is(made.status, 0);
  const service = new Supervised(t, {runDir});
  const {error} = await service.next('error');
  t.is(error.code, 'RUN_DIR_UNSAFE');
  await service.outcome;
});

test.serial('who has given up his privileges says no more what is started with them', async t => {
  if (!isRoot(t)) return;
  const folder = mkdtempSync(join(tmpdir(), 'zlr-turncoat-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  chmodSync(folder, 0o777);
  const file = join(folder, 'made');
  const turncoat = fileURLToPath(new URL('fixtures/turncoat.mjs', import.meta.url));
  const {service, up} = await Supervised.start(t, {
    thresholdMs: 0,
    command: [process.execPath, turncoat, dist, file],
  });
  t.like(up, {uid: NOBODY});
  let line = '';
  while (!line.includes('cannot change what uid 0 starts')) line = (await service.next('log')).log;
  process.kill(up.pid, 'SIGKILL');
  t.like(await service.next('up'), {up: 2, uid: 0});
  t.false(existsSync(file));

  // Nor when a keeper decides.
  const {pid} = await service.status();
  await service.killSupervisor();
  process.kill(pid, 'SIGKILL');
  const third = await service.next('up');
  t.like(third, {up: 3, uid: 0});
  t.false(existsSync(file));
  process.kill(third.pid, 'SIGKILL');
  const door = join(service.runDir, service.name, 'door.sock');
  const fourth = await service.next('up');
  t.like(fourth, {up: 4});
  // The end of it, by one who may.
  speak(door, 'words', [word(STOP)]);
  process.kill(fourth.pid, 'SIGKILL');
});

test.serial('whatever is sent to the control socket and the door harms nobody', async t => {
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}`);
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const client = await Client.open(t, up.port);
  const folder = join(service.runDir, service.name);
  const junk = (length: number): Buffer => Buffer.from(Array.from({length}, () => random.below(256)));
  const lines = [
    'null\n',
    '{"type":"started"}\n',
    '{"type":"status","status":7}\n',
    '[]\n',
    '{"type":"stop"',
    '\n\n\n',
    'x'.repeat(100_000),
  ];
  for (let round = 0; round < 60; round++) {
    const socket = connect(join(folder, 'control.sock'));
    socket.on('error', () => {}); // it is cut off, or not: what counts comes below
    socket.resume(); // an answer that nobody reads would keep it open
    socket.end(round < lines.length ? lines[round]! : junk(1 + random.below(300)));
    await once(socket, 'close');
  }
  t.log('control socket: done');
  const guests = Array.from({length: 200}, () => {
    const words = Array.from({length: 1 + random.below(4)}, () => {
      const bytes = junk(random.below(3) === 0 ? 1 + random.below(200) : 40);
      if (bytes.length >= 4) bytes.writeUInt32LE(random.below(90), 0);
      return bytes.toString('hex');
    });
    return words.join(' ');
  });
  t.is(speak(join(folder, 'door.sock'), 'words', guests).length, guests.length);
  t.log('door: done');
  t.is((await client.who()).generation, 1);
  process.kill(up.pid, 'SIGSEGV');
  await service.next('up');
  t.is((await client.who()).generation, 2);
  t.is((await service.status()).faultCount, 1);
});
