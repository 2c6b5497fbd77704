// `zlr run` with services that know nothing of zlr: what holds for any program.
import {spawn, spawnSync} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import test from 'ava';
import {exited} from '../../kernel-shim/test/supervised.js';
import {CommandLine, zlr} from './command-line.js';

const node = process.execPath;

test('a service that ends by itself ends the command, with nothing to say', async t => {
  const outcome = await new CommandLine(t).run('run', '--', node, '-e', 'console.log("hello")');
  t.deepEqual(outcome, {exitCode: 0, stdout: 'hello\n', stderr: ''});
});

test("arguments behind -- are the service's, also those that look like ours", async t => {
  const script = 'console.log(JSON.stringify(process.argv.slice(1)))';
  const outcome = await new CommandLine(t).run(
    'run',
    '--',
    node,
    '-e',
    script,
    '--',
    '--name',
    'x',
    '--help',
  );
  t.deepEqual(JSON.parse(outcome.stdout), ['--name', 'x', '--help']);
});

test("the service has the command's standard input", async t => {
  const foreground = new CommandLine(t).start('run', '--', node, '-e', 'process.stdin.pipe(process.stdout)');
  foreground.stdin.write('echo\n');
  t.is(await foreground.line(), 'echo');
  foreground.stdin.end();
  t.is((await foreground.outcome).exitCode, 0);
});

test('a service that keeps failing is given up with its reason and exit code 1', async t => {
  const outcome = await new CommandLine(t).run('run', '--', node, '-e', 'process.exit(3)');
  t.is(outcome.exitCode, 1);
  t.regex(outcome.stderr, /^zlr: .*faults in a row.*$/m);
});

test('a service whose store was cut short under it ends by SIGBUS, then for ERR_CORRUPT until it is given up', async t => {
  const commandLine = new CommandLine(t);
  const path = join(commandLine.runDir, 'cut.store');
  const script = `
    import {truncateSync} from 'node:fs';
    import {openStore, t} from '${import.meta.resolve('@zlr/state-store')}';
    const store = await openStore({name: 'cut', backend: 'file', path: '${path}', size: '1MB', schema: {n: t.uint}});
    truncateSync('${path}', 2 ** 19);
    store.memory.at(-1);
    console.log('not reached');`;
  const outcome = await commandLine.run('run', '--', node, '--input-type=module', '-e', script);
  t.is(outcome.exitCode, 1);
  t.is(outcome.stdout, '');
  t.regex(outcome.stderr, /SIGBUS/);
  t.regex(outcome.stderr, /ERR_CORRUPT/);
  t.regex(outcome.stderr, /it was cut short/);
  t.regex(outcome.stderr, /^zlr: .*faults in a row.*$/m);
});

test('a program that is taken away is tried again for as long as the patience says, then given up', async t => {
  const commandLine = new CommandLine(t);
  const program = join(commandLine.runDir, 'program');
  writeFileSync(program, '#!/bin/sh\nrm "$0"\nexit 3\n', {mode: 0o700});
  const outcome = await commandLine.run('run', '--patience', '0.5', '--', program);
  t.is(outcome.exitCode, 1);
  t.regex(outcome.stderr, /could not be started for 0\.5 s: cannot start .*\/program: ENOENT/);
});

test('a command that does not exist is a failure that names it', async t => {
  const outcome = await new CommandLine(t).run('run', '--', '/nowhere/server');
  t.not(outcome.exitCode, 0);
  t.regex(outcome.stderr, /^zlr: .*\/nowhere\/server/m);
});

const stays = 'console.log("up"); process.stdin.resume()';

// A service that is supervised, and just stays: it is beyond each of these limits all the time, and its loop is late each second.
for (const [limit, told] of Object.entries({
  '--max-rss 1': /resident memory in bytes: \d{7,}, the limit is 1000000\)/,
  '--max-heap 1': /V8's heap in bytes: \d{7,}, the limit is 1000000\)/,
  '--max-files 3': /open descriptors: \d+, the limit is 3\)/,
  '--max-delay 5': /event-loop delay in ms: \d+, the limit is 5\)/,
}))
  test(`${limit}: who is beyond it is followed by a fresh one, and the log says why`, async t => {
    const busy = `setInterval(() => { for (const until = Date.now() + 300; Date.now() < until; ); }, 350)`;
    const shim = new URL('../../kernel-shim/dist/index.js', import.meta.url).href;
    const script = `import(${JSON.stringify(shim)}).then(({reregist, endOrderly, generation}) => {
      process.on('SIGTERM', () => { endOrderly(); process.exit(); });
      reregist();
      ${busy};
      console.log(generation());
    })`;
    const foreground = new CommandLine(t).start(
      ...['run', '--threshold', '0', ...limit.split(' '), '--', node, '-e', script],
    );
    t.is(await foreground.line(), '1');
    t.is(await foreground.line(), '2');
    foreground.signal('SIGTERM');
    t.regex((await foreground.outcome).stderr, told);
  });

test('a name that is in use is refused', async t => {
  const commandLine = new CommandLine(t);
  await commandLine.start('run', '--name', 'twice', '--', node, '-e', stays).line();
  const second = await commandLine.run('run', '--name', 'twice', '--', node, '-e', stays);
  t.is(second.exitCode, 1);
  t.regex(second.stderr, /^zlr: .*twice.*\n$/);
});

test('a supervisor that is stopped keeps nobody waiting but those who ask it to end', async t => {
  const commandLine = new CommandLine(t);
  const stopped = commandLine.start('run', '--name', 'stopped', '--', node, '-e', stays);
  await stopped.line();
  await commandLine.start('run', '--name', 'other', '--', node, '-e', stays).line();
  const status = await commandLine.run('status', '--name', 'stopped', '--json');
  const {supervisorPid, pid} = JSON.parse(status.stdout);
  process.kill(supervisorPid, 'SIGSTOP');
  t.teardown(() => spawnSync('kill', ['-CONT', supervisorPid], {stdio: 'ignore'})); // when an assertion ends it early

  t.is((await commandLine.run('status', '--name', 'other')).exitCode, 0);
  t.regex((await commandLine.run('status')).stderr, /several services are running \(other, stopped\)/);
  t.is(JSON.parse((await commandLine.run('status', '--name', 'stopped', '--json')).stdout).pid, pid);
  t.is((await commandLine.run('stop', '--name', 'other')).exitCode, 0);
  const asked = await commandLine.run('stop', '--name', 'stopped');
  t.is(asked.exitCode, 1);
  t.regex(asked.stderr, /^zlr: the supervisor of 'stopped' does not answer within 3 s.*kill -CONT/);
  process.kill(supervisorPid, 'SIGCONT');
  t.is((await commandLine.run('stop', '--name', 'stopped')).exitCode, 0);
});

test('status and stop mean the only service; with several they ask for a name, with none they say so', async t => {
  const commandLine = new CommandLine(t);
  const none = await commandLine.run('status');
  t.deepEqual(none, {
    exitCode: 1,
    stdout: '',
    stderr: 'zlr: no service is running; start one with zlr serve or zlr run\n',
  });

  const one = commandLine.start('run', '--name', 'one', '--', node, '-e', stays);
  await one.line();
  const status = await commandLine.run('status', '--json');
  t.is(JSON.parse(status.stdout).name, 'one');

  const two = commandLine.start('run', '--name', 'two', '--', node, '-e', stays);
  await two.line();
  const ambiguous = await commandLine.run('stop');
  t.is(ambiguous.exitCode, 2);
  t.regex(ambiguous.stderr, /^zlr: several services are running \(one, two\): choose one with --name/);

  t.is((await commandLine.run('stop', '--name', 'one')).exitCode, 0);
  t.is((await one.outcome).exitCode, 0);
  t.is((await commandLine.run('stop')).exitCode, 0);
  t.is((await two.outcome).exitCode, 0);
});

test('stray files in the run folder hide no service, and keep none from starting', async t => {
  const commandLine = new CommandLine(t);
  writeFileSync(join(commandLine.runDir, 'stray'), '');
  for (const [name, note] of Object.entries({
    cut: '{"pid":',
    empty: '',
    nothing: 'null',
    group: '{"pid":-1}',
  })) {
    mkdirSync(join(commandLine.runDir, name), {mode: 0o700});
    writeFileSync(join(commandLine.runDir, name, 'service.json'), note);
  }
  await commandLine.start('run', '--name', 'cut', '--', node, '-e', stays).line();
  const status = await commandLine.run('status', '--json');
  t.is(JSON.parse(status.stdout).name, 'cut');
  t.regex(
    (await commandLine.run('stop', '--name', 'group')).stderr,
    /^zlr: no service named 'group' is running/,
  );
  t.is((await commandLine.run('stop')).exitCode, 0);
});

test('status of a name that nobody has is a failure that names it', async t => {
  const outcome = await new CommandLine(t).run('status', '--name', 'ghost');
  t.is(outcome.exitCode, 1);
  t.regex(outcome.stderr, /^zlr: .*'ghost'.*\n$/);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  test(`${signal} lets the service end in its own order`, async t => {
    const script = `process.on('SIGTERM', () => process.stdout.write('tidied up\\n', () => process.exit()));
      process.stdin.resume();
      console.log('up');`;
    const foreground = new CommandLine(t).start('run', '--', node, '-e', script);
    t.is(await foreground.line(), 'up');
    foreground.signal(signal);
    t.is(await foreground.line(), 'tidied up');
    t.is((await foreground.outcome).exitCode, 0);
  });
}

for (const [how, survives] of [
  ['', false],
  ['nohup', true],
] as const)
  test(`${how || 'without nohup'}: a terminal that is closed ${survives ? 'costs nothing' : 'ends the service'}`, async t => {
    const commandLine = new CommandLine(t);
    const note = join(commandLine.runDir, 'lives');
    const script = `require('fs').appendFileSync(process.argv[1], process.pid + '\\n'); process.stdin.on('error', () => {}); setInterval(() => {}, 1e6)`;
    const command = `exec ${how} "${node}" "${zlr}" run --name hung --threshold 0 -- "${node}" -e "${script}" "${note}"`;
    const terminal = spawn('script', ['--quiet', '--command', command, '/dev/null'], {
      cwd: commandLine.runDir,
      env: {...process.env, ZLR_RUN_DIR: commandLine.runDir},
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    t.teardown(() => terminal.kill('SIGKILL'));
    const life = async (number: number): Promise<number> => {
      for (;;) {
        const pids = existsSync(note) ? readFileSync(note, 'latin1').trim().split('\n') : [];
        if (pids.length >= number) return Number(pids[number - 1]);
        await delay(20);
      }
    };
    const pid = await life(1);
    terminal.kill('SIGKILL');
    await once(terminal, 'exit');
    if (survives) {
      process.kill(pid, 'SIGKILL');
      t.not(await life(2), pid);
      t.is((await commandLine.run('stop')).exitCode, 0);
    } else {
      await exited(pid);
      t.regex((await commandLine.run('status')).stderr, /no service/);
    }
  });

test('Ctrl-C reaches the service through its supervisor alone, also when it is pressed twice', async t => {
  const script = `process.on('SIGTERM', () => process.stdout.write('tidying\\n') && process.stdin.once('data', () => process.exit()));
    process.on('SIGINT', () => process.stdout.write('interrupted\\n'));
    process.stdin.resume();
    console.log('up');`;
  const foreground = new CommandLine(t).start('run', '--', node, '-e', script);
  t.is(await foreground.line(), 'up');
  foreground.pressCtrlC();
  t.is(await foreground.line(), 'tidying');
  foreground.pressCtrlC();
  foreground.stdin.write('done');
  t.deepEqual(await foreground.outcome, {exitCode: 0, stdout: 'up\ntidying\n', stderr: ''});
});

test('a service that fails while it ends makes the command fail', async t => {
  const script = `process.on('SIGTERM', () => process.exit(5)); process.stdin.resume(); console.log('up');`;
  const foreground = new CommandLine(t).start('run', '--', node, '-e', script);
  t.is(await foreground.line(), 'up');
  foreground.signal('SIGTERM');
  t.is((await foreground.outcome).exitCode, 5);
});
