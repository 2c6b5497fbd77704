// Kills writers at random instants and looks at what they left. ZLR_KILLS sets how many kills in all (5000 in the nightly
// form), ZLR_SEED the seed. What takes time is the start of a victim, so several are under way, each with a store of its own.
import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {serialize} from 'node:v8';
import test, {type ExecutionContext} from 'ava';
import {openStore} from '../src/index.js';
import {bundle} from './helpers/bundle.js';
import {begin, faults, type Ledger, ledger, work} from './helpers/ledger.js';
import {canonical, emptyModel, modelOf, Random, schema, step} from './helpers/program.js';
import {freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

const KILLS = Number(process.env['ZLR_KILLS'] ?? 500);
const SEED = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
/** Of all kills: those of a single writer and those of one of several, on each backend. */
const [ALONE, AMONG] = [Math.ceil(KILLS * 0.4), Math.ceil(KILLS * 0.1)];
const LANES = 2;
const LIFE_MS = 50; // the longest
const STEPS = 600; // then a new store and another program
const WRITERS = 3;

type Backend = (typeof SHARED_BACKENDS)[number];

const [victim, coWriter] = [bundle('victim.ts'), bundle('co-writer.ts')];

class Victim {
  private constructor(
    private readonly child: ChildProcess,
    private readonly closed: Promise<unknown[]>,
  ) {}

  /** Resolves when it is at work; it does not outlive the test. */
  static async start(t: ExecutionContext, script: string, args: string[], input: Buffer): Promise<Victim> {
    const child = spawn(process.execPath, [script, ...args], {stdio: ['pipe', 'pipe', 'inherit']});
    t.teardown(() => child.kill('SIGKILL'));
    const closed = once(child, 'close');
    child.stdin.end(input);
    const early = closed.then(([code]) =>
      Promise.reject(new Error(`the victim ended by itself, with ${code}`)),
    );
    await Promise.race([once(createInterface(child.stdout), 'line'), early]);
    early.catch(() => {}); // from here on it is meant to end
    return new Victim(child, closed);
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    const [, signal] = await this.closed;
    if (signal !== 'SIGKILL') throw new Error('the victim ended by itself');
  }
}

interface Tally {
  steps: number;
  undone: number;
}

/** One store after the other: a victim works on it, dies, and what it left is compared with the model. */
async function alone(t: ExecutionContext, backend: Backend, kills: number, lane: number): Promise<Tally> {
  const random = new Random(SEED + lane);
  const tally = {steps: 0, undone: 0};
  let [name, program, model] = [freshName(), random.below(2 ** 31), emptyModel()];
  for (let kill = 0; kill < kills; kill++) {
    const writer = await Victim.start(t, victim, [name, backend, `${program}`], serialize(model));
    await delay(random.next() * LIFE_MS); // the instant is what is drawn here, nothing is waited for
    await writer.kill();
    const store = await openStore({name, backend, ...pathOf(name, backend), schema});
    const where = `seed ${SEED}, lane ${lane}, kill ${kill}, program ${program}, step ${store.root.step}`;
    t.deepEqual(store.check().problems, [], where);
    if (store.info().recovered > 0) tally.undone++;
    tally.steps += store.root.step - model.step;
    while (model.step < store.root.step) model = step(model, program);
    t.deepEqual(canonical(modelOf(store)), canonical(model), where);
    if (model.step < STEPS && kill < kills - 1) store.close();
    else {
      store.destroy();
      [name, program, model] = [freshName(), random.below(2 ** 31), emptyModel()];
    }
  }
  return tally;
}

for (const backend of SHARED_BACKENDS)
  test(`${backend}: a single writer killed ${ALONE} times at random instants`, async t => {
    t.timeout(KILLS * 15_000 + 60_000); // a busy machine takes ten times as long as an idle one
    const lanes = Array.from({length: LANES}, (_, lane) =>
      alone(t, backend, Math.floor((ALONE + lane) / LANES), lane),
    );
    const tallies = await Promise.all(lanes);
    const sum = (of: keyof Tally) => tallies.reduce((total, tally) => total + tally[of], 0);
    t.true(sum('undone') > 0, 'no kill hit a transaction: it proved nothing');
    t.log(`seed ${SEED}: ${ALONE} kills in ${sum('steps')} steps, ${sum('undone')} rolled back`);
  });

/** Resolves when each of these writers has committed once more. */
async function progress(reader: Ledger, names: readonly string[]): Promise<void> {
  const done = () => reader.read(({writers}) => names.map(name => writers.get(name)?.done ?? 0));
  const before = done();
  for await (const {value} of reader.watch(({writers}) => names.map(name => writers.get(name)?.done ?? 0)))
    if (value.every((count, i) => count > before[i]!)) return;
}

for (const backend of SHARED_BACKENDS)
  test.serial(`${backend}: one of ${WRITERS} writers killed ${AMONG} times at random instants`, async t => {
    t.timeout(KILLS * 15_000 + 60_000);
    const random = new Random(SEED);
    const name = freshName();
    const where = {name, backend, ...pathOf(name, backend), schema: ledger} as const;
    const mine = await openStore({...where, size: '128KB', maxSize: '16MB', writers: 'many'});
    begin(mine);
    const living = new Map<string, Victim>();
    const start = async () => {
      const me = `w${random.below(2 ** 31)}`;
      const args = [name, backend, me, `${random.below(2 ** 31)}`];
      living.set(me, await Victim.start(t, coWriter, args, Buffer.alloc(0)));
    };
    while (living.size < WRITERS) await start();
    for (let kill = 0; kill < AMONG; kill++) {
      const dying = random.pick([...living.keys()]);
      await delay(random.next() * LIFE_MS);
      await living.get(dying)!.kill();
      living.delete(dying);
      await progress(mine, [...living.keys()]);
      work(mine, 'me', random);
      const copy = mine.snapshot(); // for the others go on
      t.deepEqual(faults(copy), [], `seed ${SEED}, kill ${kill}`);
      copy.close();
      if (kill < AMONG - 1) await start();
    }
    await Promise.all([...living.values()].map(writer => writer.kill()));
    work(mine, 'me', random);
    t.deepEqual(faults(mine), [], `seed ${SEED}, when all are dead`);
    t.log(
      `seed ${SEED}: ${AMONG} kills in ${mine.root.done} transactions, ${mine.info().size} bytes at the end`,
    );
    mine.destroy();
  });
