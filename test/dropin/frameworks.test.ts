/*
 * The same small site in Express 5, Fastify 5 and Koa 3, unchanged: what each answers under `zlr run --http`, while its process is killed
 * again and again, is byte for byte what it answers alone; but for the date.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createInterface} from 'node:readline';
import {setTimeout as delay} from 'node:timers/promises';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {KeptProgram} from '../support/kept-program.js';
import {Random} from '../support/random.js';
import {type Answer, Wire} from '../support/wire.js';

const PROGRAM = fileURLToPath(new URL('../fixtures/framework-app.cjs', import.meta.url));
const FAULTS = 12;
const CLIENTS = 8;

const json = JSON.stringify({name: 'x', list: Array.from({length: 300}, (_, at) => at)});
const form = 'a=1&b=two+words&c=%C3%A9';
const BEHAVIOURS: Record<string, (wire: Wire) => Promise<Answer>> = {
  json: get('/json/one'),
  slow: get('/slow/two'),
  file: get('/file'),
  stream: get('/stream/three'),
  missing: get('/missing'),
  error: get('/error'),
  redirect: get('/redirect'),
  conditional: get('/json/one', 'If-None-Match: W/"14-XE9OVoYVlqQGIVlwKSQJoXNyKxQ"\r\n'),
  form: post(form, 'application/x-www-form-urlencoded'),
  posted: post(json, 'application/json'),
  broken: post('{"a":', 'application/json'),
  head: wire => {
    wire.write('HEAD /json/one HTTP/1.1\r\nHost: x\r\n\r\n');
    return wire.answer({toHead: true});
  },
  options: wire => {
    wire.write('OPTIONS /json/one HTTP/1.1\r\nHost: x\r\n\r\n');
    return wire.answer();
  },
};

function get(path: string, fields = '') {
  return (wire: Wire): Promise<Answer> => {
    wire.get(path, fields);
    return wire.answer();
  };
}

function post(body: string, type: string) {
  return (wire: Wire): Promise<Answer> => {
    wire.post('/echo', body, `Content-Type: ${type}\r\n`);
    return wire.answer();
  };
}

/** What must not differ. */
function essence({status, fields, body}: Answer): string {
  const lines = [...fields].filter(([name]) => name !== 'date').map(pair => pair.join(': '));
  return [status, ...lines, '', body.toString('latin1')].join('\n');
}

/** What the site answers in a process of its own that nobody kills. */
async function alone(framework: string): Promise<Map<string, string>> {
  const child = spawn(process.execPath, [PROGRAM], {
    env: {...process.env, FRAMEWORK: framework},
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
    const answers = new Map<string, string>();
    for (const [name, ask] of Object.entries(BEHAVIOURS)) {
      const wire = await Wire.open(Number(line.split(' ')[1]));
      answers.set(name, essence(await ask(wire)));
      wire.close();
    }
    return answers;
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

for (const framework of ['express', 'fastify', 'koa']) {
  test.serial(`${framework}: killed under load it answers what it answers alone`, async t => {
    const expected = await alone(framework);
    const random = Random.fromEnvironment();
    t.log(`seed ${random.seed}`);
    const program = await KeptProgram.start(PROGRAM, ['--rerun', 'all', '--attempts', '100'], {
      FRAMEWORK: framework,
    });
    t.teardown(() => program.stop());

    let isOver = false;
    const counts = new Map<string, number>();
    const clients = Array.from({length: CLIENTS}, async (_, client) => {
      const own = new Random(random.seed + 1 + client);
      let wire = await Wire.open(program.port);
      const names = Object.keys(BEHAVIOURS);
      for (let round = 0; !isOver || round < names.length; round++) {
        const name = round < names.length ? names[(round + client) % names.length]! : own.pick(names);
        const answer = await BEHAVIOURS[name]!(wire);
        t.is(essence(answer), expected.get(name)!, name);
        counts.set(name, (counts.get(name) ?? 0) + 1);
        if (answer.fields.get('connection') !== 'close') continue;
        await wire.ended();
        wire.close();
        wire = await Wire.open(program.port);
      }
      wire.close();
    });
    const failed = Promise.all(clients).then(() => {});
    failed.catch(() => {
      isOver = true;
    });
    for (let faults = 0; faults < FAULTS && !isOver; faults++) {
      await program.replace(random.pick(['SIGKILL', 'SIGSEGV', 'SIGABRT']));
      await delay(random.below(300));
    }
    isOver = true;
    await failed;
    t.is(counts.size, expected.size, 'each was asked for');
    t.log([...counts].map(pair => pair.join(' ')).join(', '));
  });
}
