/*
 * Sixteen clients fetch files over keep-alive connections, some pipelined, some in pieces, some reading slowly, some
 * hanging up, while the server's process is killed again and again at random instants, also while the next generation
 * boots, and at random with misfortunes beside: a supervisor that stands still, a keeper that is killed or stopped, the run folder
 * taken away, no descriptor left. Every byte of every answer must come exactly once and in order, no connection may break, and at the end
 * nothing may be left: no descriptor, slot, segment or process.
 *
 *   ZLR_TORTURE_FAULTS=2000 ZLR_SEED=7 npm test -- test/torture.test.ts
 */
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {CheckingClient, type Expected} from './support/http-client.js';
import {Misfortunes} from './support/misfortunes.js';
import {Random} from './support/random.js';
import {ServedFolder} from './support/service.js';

const FAULTS = Number(process.env['ZLR_TORTURE_FAULTS'] ?? 300);
const CLIENTS = 16;
const SIZES = [0, 1, 100, 5_000, 16_384, 16_385, 100_000, 1_000_000, 5_000_000];
// The last makes the service throw an exception that nobody catches.
const SIGNALS = ['SIGSEGV', 'SIGKILL', 'SIGABRT', 'SIGUSR2'] as const;

/** Few enough that a crowd can take them all. */
const FILES = 200;

const noPause = async (): Promise<void> => {};

function makeFiles(folder: string, random: Random): Expected[] {
  return SIZES.map(size => {
    const content = Buffer.alloc(size);
    for (let at = 0; at + 4 <= size; at += 4) content.writeUInt32LE(random.below(2 ** 32), at);
    writeFileSync(join(folder, `${size}.bin`), content);
    return {path: `/${size}.bin`, content};
  });
}

const request = ({path}: Expected): string =>
  `GET ${path} HTTP/1.1\r\nHost: torture\r\nX-Pad: ${'x'.repeat(40)}\r\n\r\n`;

/** One client's life: connection after connection until the faults are over. Returns the answers it checked. */
async function live(port: number, files: Expected[], random: Random, isOver: () => boolean): Promise<number> {
  let answers = 0;
  while (!isOver()) {
    const client = await CheckingClient.open(port);
    for (let rounds = 1 + random.below(8); rounds > 0; rounds--) {
      const kind = random.below(10);
      const file = random.pick(files);
      if (kind < 4) {
        client.write(request(file));
        await client.expect(file, noPause);
        answers++;
      } else if (kind < 6) {
        const batch = Array.from({length: 2 + random.below(8)}, () => random.pick(files.slice(0, 7)));
        client.write(batch.map(request).join(''));
        for (const each of batch) await client.expect(each, noPause);
        answers += batch.length;
      } else if (kind < 8) {
        const text = request(file);
        const cut = 1 + random.below(text.length - 1);
        client.write(text.slice(0, cut));
        await delay(random.below(60));
        client.write(text.slice(cut));
        await client.expect(file, noPause);
        answers++;
      } else if (kind < 9) {
        client.write(request(file));
        await client.expect(file, () => delay(random.below(4)));
        answers++;
      } else {
        client.write(request(file));
        await client.expect(file, noPause, random.below(file.content.length + 1));
        client.hangUp();
        break;
      }
      if (rounds === 1) client.close();
    }
  }
  return answers;
}

interface Status {
  generation: number;
  channels: number;
  faults: {class: string}[];
  faultCount: number;
}

/** All clients at once; `isOver` ends them. Rejects with the log when one of them has not got what it should have. */
function crowd(
  t: ExecutionContext,
  service: ServedFolder,
  files: Expected[],
  seed: number,
): {end(): Promise<number>; readonly failed: boolean} {
  let isOver = false;
  let failed = false;
  const clients = Array.from({length: CLIENTS}, (_, index) =>
    live(service.port, files, new Random(seed + 1 + index), () => isOver || failed),
  );
  for (const client of clients) client.catch(() => (failed = true));
  return {
    get failed() {
      return failed;
    },
    async end() {
      isOver = true;
      const answers = await Promise.all(clients).catch(error => {
        t.log(service.log.slice(-20).join('\n'));
        throw error;
      });
      return answers.reduce((sum, n) => sum + n, 0);
    },
  };
}

async function readStatus(service: ServedFolder): Promise<Status> {
  return JSON.parse(await service.zlr('status', '--json')) as Status;
}

test('faults at random instants lose and double nothing', async t => {
  t.timeout(60_000 + FAULTS * 3_000);
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}, ${FAULTS} faults`);
  const folder = mkdtempSync(join(tmpdir(), 'zlr-torture-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const files = makeFiles(folder, random);
  const service = await ServedFolder.start(folder, `torture-${process.pid}`, FILES);
  const misfortunes = new Misfortunes(service, random);
  let stopped = false;
  t.teardown(async () => {
    if (!stopped) await service.stop();
  });
  const descriptorsBefore = service.descriptors().length;

  const clients = crowd(t, service, files, random.seed);
  let faults = 0;
  let inBoot = 0;
  for (; faults < FAULTS && !clients.failed; faults++) {
    const {generation, pid} = service;
    if (random.next() < 0.8) {
      await service.until(() => service.serving >= generation);
      await delay(random.below(120));
    } else {
      await delay(random.below(150));
      if (service.serving < generation) inBoot++;
    }
    const over = await misfortunes.strike();
    process.kill(pid, random.pick(SIGNALS));
    await service.until(() => service.generation > generation);
    await over();
    if (service.generation > generation + 1)
      throw new Error(`generation ${generation + 1} ended by itself:\n${service.log.slice(-20).join('\n')}`);
  }
  t.log(`${await clients.end()} answers checked over ${faults} faults, ${inBoot} of them in a boot`);
  t.is(faults, FAULTS);

  t.log(`beside them ${misfortunes}`);
  await misfortunes.untilFound();
  const last = service.generation;
  await service.until(() => service.serving === last);
  // The service hears of the last hang-ups in its own time; what would be leaked never goes.
  let status = await readStatus(service);
  for (let tries = 0; status.channels > 1 && tries < 50; tries++) status = await readStatus(service);
  t.is(status.generation, FAULTS + 1, 'each fault is one generation');
  t.is(status.faultCount, FAULTS);
  t.is(status.faults.length, Math.min(FAULTS, 100), 'a service that faults for months has no endless list');
  t.is(status.channels, 1, 'all that is open is the listening socket');
  t.true(service.descriptors().length <= descriptorsBefore, 'no descriptor is leaked');
  stopped = true;
  t.is(await service.stop(), 0, 'an orderly end, which asserts that each slot was given back');
});

test('with a standby, restarts and programs that are no good between them, too', async t => {
  t.timeout(60_000 + FAULTS * 3_000);
  const random = Random.fromEnvironment();
  const folder = mkdtempSync(join(tmpdir(), 'zlr-torture-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const files = makeFiles(folder, random);
  const name = `torture-standby-${process.pid}`;
  const service = await ServedFolder.start(folder, name, undefined, ['--standby']);
  let stopped = false;
  t.teardown(async () => {
    if (!stopped) await service.stop();
  });
  const descriptorsBefore = service.descriptors().length;
  const clients = crowd(t, service, files, random.seed);

  const count = {standing: 0, promoting: 0, booting: 0, both: 0, restarts: 0, wrong: 0};
  /** Resolves when the generation of that process is over. */
  const replaced = (pid: number): Promise<void> => service.until(() => service.pid !== pid);
  const kill = (pid: number): void => {
    try {
      process.kill(pid, random.pick(SIGNALS));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // it has been replaced meanwhile
    }
  };
  let faults = 0;
  for (; faults < FAULTS && !clients.failed; faults++) {
    const {pid, generation} = service;
    const kind = random.below(20);
    if (kind < 10) {
      // Another one stands by, and takes over.
      await service.until(
        () => [...service.standing.keys()].some(number => number > generation) || service.pid !== pid,
      );
      count.standing++;
      kill(pid);
    } else if (kind < 13) {
      // The instants are what is tested, here and below. It is killed while it takes over, or the one behind it while it is made.
      await delay(random.below(30));
      count.promoting++;
      kill(pid);
    } else if (kind < 16) {
      await delay(random.below(400));
      count.booting++;
      kill(pid);
    } else if (kind < 18) {
      count.both++;
      for (const [number, standby] of service.standing) if (number > generation) kill(standby);
      kill(pid);
    } else if (kind < 19) {
      count.restarts++;
      const restarting = service.zlr('restart', '--probation', '0').catch(String); // a fault may come before it
      await delay(random.below(300));
      if (random.below(2) === 0) kill(service.pid);
      await restarting;
    } else {
      count.wrong++;
      const wrong = service.zlr('restart', '--', process.execPath, '-e', 'process.exit(1)').catch(String);
      t.regex(await wrong, /ended with/, 'such a program cannot take over');
      kill(service.pid);
    }
    await replaced(pid);
  }
  t.log(`${await clients.end()} answers checked over ${faults} faults: ${JSON.stringify(count)}`);
  t.is(faults, FAULTS);
  const own = service.log.filter(line => /exit code .* while it stood by|could not rehearse/.test(line));
  t.deepEqual(own, [], 'whoever stands by ends by what is done to it here alone');
  const last = service.generation;
  await service.until(() => service.serving === last);
  let status = await readStatus(service);
  for (let tries = 0; status.channels > 1 && tries < 50; tries++) status = await readStatus(service);
  t.is(status.channels, 1, 'all that is open is the listening socket');
  t.true(service.descriptors().length <= descriptorsBefore + 2, 'no descriptor is leaked');
  stopped = true;
  t.is(await service.stop(), 0, 'an orderly end, which asserts that each slot was given back');
});
