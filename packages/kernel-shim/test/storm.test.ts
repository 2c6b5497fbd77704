/**
 * Proves that no order of misfortunes costs a connection as long as one holder of it is left: the service, one of its keepers and
 * the supervisor are killed or stalled at random instants, also while others are being replaced, with the supervisor alive and without
 * one.
 *
 * To see it fail: in native/keeper/alone.c do not note the next generation before it begins; in supervisor.ts do not wake a keeper
 * before it is spoken to; in machine.ts dismiss the source when the next generation claims.
 * ZLR_SEED=N repeats the choices and the delays.
 */
import {readdirSync, readFileSync, readlinkSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import test, {type ExecutionContext} from 'ava';
import {Random} from '../../../test/support/random.js';
import {Client, Supervised} from './supervised.js';

const ROUNDS = Number(process.env['ZLR_STORM_ROUNDS'] ?? 30);

/** The keepers of one test's service, which run in its folder; those that end are none. */
function keepersIn(folder: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter(Number.isInteger)
    .filter(pid => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
        return /\(zlr-keeper\) [^ZX]/.test(stat) && readlinkSync(`/proc/${pid}/cwd`) === folder;
      } catch {
        return false; // it has ended while we looked
      }
    });
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Until each generation has both its keepers and no former one's are left. */
async function untilTwoKeepers(folder: string): Promise<number[]> {
  for (;;) {
    const keepers = keepersIn(folder);
    if (keepers.length === 2) return keepers;
    await delay(5);
  }
}

async function storm(t: ExecutionContext, withSupervisor: boolean): Promise<void> {
  t.timeout(60_000 + ROUNDS * 6_000);
  const random = Random.fromEnvironment();
  t.log(`seed ${random.seed}`);
  const {service, up} = await Supervised.start(t, {thresholdMs: 0});
  const clients = await Promise.all([1, 2, 3].map(() => Client.open(t, up.port)));
  await Promise.all(clients.map(client => client.who()));
  await untilTwoKeepers(service.runDir);
  if (!withSupervisor) await service.killSupervisor();
  const history: string[] = [];
  let faults = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const {pid} = await random.pick(clients).who();
    const keepers = await untilTwoKeepers(service.runDir);
    const stalled = withSupervisor && random.below(3) === 0;
    const victims = [pid];
    // One of the three that hold the channels is left alone.
    const what = random.below(4);
    if (what === 0) victims.unshift(random.pick(keepers));
    if (what === 1) victims.push(random.pick(keepers));
    if (what === 2) kill(random.pick(keepers), 'SIGSTOP');
    history.push(`${round}: ${stalled ? 'stalled, ' : ''}${what}`);
    if (stalled) kill(service.supervisorPid, 'SIGSTOP');
    for (const victim of victims) {
      await delay(random.below(3));
      kill(victim, 'SIGKILL');
    }
    faults++;
    if (stalled) {
      await delay(random.below(50));
      kill(service.supervisorPid, 'SIGCONT');
    }
    if (what === 2 && !withSupervisor) for (const keeper of keepers) kill(keeper, 'SIGCONT');
    if (random.below(3) === 0) {
      // And one more keeper, or the next generation, wherever that is by now.
      await delay(random.below(120));
      const more = keepersIn(service.runDir);
      if (random.below(2) === 0 && more.length > 2) kill(random.pick(more), 'SIGKILL');
    }
    for (const client of clients) {
      const lost = client.ended.then(() => {
        throw new Error(`a connection was lost\n${history.join('\n')}\n${service.stderr}`);
      });
      const who = await Promise.race([client.who(), lost]);
      t.true(who.generation > faults, history.join('\n'));
    }
  }
  t.log(`${faults} faults`);
}

test.serial('a storm of kills and stalls loses no connection', t => storm(t, true));

test.serial('a storm of kills loses no connection without a supervisor either', t => storm(t, false));
