/*
 * A node:http program is killed at a chosen system call on its connections: before it, after it, and with half of its bytes
 * moved. Each answer must be exact; only a large one, of which the kernel took half, may end in a reset.
 */
import {execFileSync} from 'node:child_process';
import {createHash} from 'node:crypto';
import {existsSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import test, {type ExecutionContext} from 'ava';
import {KeptProgram} from '../support/kept-program.js';
import {textOf} from '../support/text.js';
import {Cut, Wire} from '../support/wire.js';

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url));

/** Exchanges by the calls they make. */
const EXCHANGES: Record<string, (wire: Wire, t: ExecutionContext, seed: string) => Promise<void>> = {
  async small(wire, t, seed) {
    wire.get(`/json/${seed}`);
    t.is((await wire.answer()).body.toString(), JSON.stringify({seed, text: `${textOf(seed, 500)}`}), seed);
  },
  async post(wire, t, seed) {
    const body = textOf(seed, 20_000);
    wire.post('/echo', body);
    t.is(
      (await wire.answer()).body.toString(),
      `20000 ${createHash('sha256').update(body).digest('hex')}`,
      seed,
    );
  },
  async chunks(wire, t, seed) {
    wire.get(`/chunks/${seed}/70000/1`);
    t.true((await wire.answer()).body.equals(textOf(seed, 70_000)), seed);
  },
  async pipelined(wire, t, seed) {
    for (const at of [0, 1, 2]) wire.get(`/whole/${seed}${at}/5000/2`);
    for (const at of [0, 1, 2]) t.true((await wire.answer()).body.equals(textOf(`${seed}${at}`, 5000)), seed);
  },
  async large(wire, t, seed) {
    wire.get(`/whole/${seed}/900000`);
    t.true((await wire.answer()).body.equals(textOf(seed, 900_000)), seed);
  },
  /** In one chunk of 900,000 bytes: spans, each with its digest. */
  async span(wire, t, seed) {
    wire.get(`/one/${seed}/900000`);
    t.true((await wire.answer()).body.equals(textOf(seed, 900_000)), seed);
  },
};

const DEATHS = {
  recv: ['small', 'post', 'pipelined'],
  send: ['small', 'post', 'chunks', 'pipelined'],
  sendmsg: ['large', 'span'],
};

test('at each call, before, amid and after it', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'zlr-deaths-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  const library = join(folder, 'die-at.so');
  const arm = join(folder, 'arm');
  const flags = ['-std=c17', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC'];
  execFileSync('cc', [...flags, fixture('die-at.c'), '-o', library, '-ldl']);
  const program = await KeptProgram.start(fixture('http-app.cjs'), ['--rerun', 'all', '--attempts', '9'], {
    LD_PRELOAD: library,
    ZLR_TEST_DIE: arm,
  });
  t.teardown(() => program.stop());

  let deaths = 0;
  let resets = 0;
  for (const [call, kinds] of Object.entries(DEATHS)) {
    for (const kind of kinds) {
      for (const when of ['before', 'half', 'after']) {
        for (const number of [1, 2]) {
          const seed = `${kind}-${call}-${number}-${when}`;
          const wire = await Wire.open(program.port);
          await EXCHANGES['small']!(wire, t, 'x');
          const {generation} = program;
          writeFileSync(arm, `${call} ${number} ${when}`);
          try {
            await EXCHANGES[kind]!(wire, t, seed);
            await EXCHANGES['small']!(wire, t, 'y');
            t.is(wire.unread, 0, seed);
          } catch (error) {
            if (!(error instanceof Cut) || kind !== 'large' || when === 'before')
              throw new Error(seed, {cause: error});
            resets++;
          }
          wire.close();
          if (existsSync(arm))
            rmSync(arm); // it makes no second such call
          else {
            deaths++;
            await program.until(() => program.generation > generation && program.isListening);
          }
        }
      }
    }
  }
  const told = program.log.join('\n').match(/1 reset \(a large answer was cut/g)?.length ?? 0;
  t.true(resets <= told, `${resets} resets, ${told} told`);
  t.log(`${deaths} deaths, ${resets} resets of a large answer`);
  t.true(deaths > 40);
});
