/*
 * What plain JavaScript gives by mistake is refused where it comes in, by name. Native code takes it at its word: without these
 * checks it aborts the process, which ends this file.
 */
import {listen, localAddress, openBeneath, readBooks, reregist, ShimError, supervise} from '@zlr/kernel-shim';
import test from 'ava';

test('arguments that cannot be are refused', t => {
  const invalid = {instanceOf: ShimError, code: 'OPTION_INVALID'} as const;
  const wrong: Record<string, (() => unknown)[]> = {
    listen: [
      () => (listen as () => unknown)(),
      () => listen(8080 as never, '127.0.0.1' as never),
      () => listen('127.0.0.1', '0' as never),
      () => listen('127.0.0.1', 65_536),
      () => listen('127.0.0.1\0', 0),
      () => listen('127.0.0.1', 0, 0),
    ],
    localAddress: [() => localAddress(undefined as never), () => localAddress(-1)],
    readBooks: [() => readBooks('3' as never), () => readBooks(0.5)],
    openBeneath: [() => openBeneath('/tmp' as never, 'x'), () => openBeneath(0, 'a\0b')],
    reregist: [
      () => reregist({binPth: 'x'} as never),
      () => reregist({argv: 'x' as never}),
      () => reregist({envp: {A: 1 as never}}),
      () => reregist(null as never),
    ],
  };
  for (const [name, calls] of Object.entries(wrong))
    for (const call of calls) t.throws(call, {...invalid, message: new RegExp(`^${name}`)}, `${call}`);
});

test('options of a supervisor that cannot be are refused, and nothing is started', async t => {
  const good = {name: `options-${process.pid}`, command: ['true']};
  for (const wrong of [
    {treshold: 1},
    {command: 'true'},
    {command: undefined},
    {command: ['true', 3]},
    {command: ['a\0b']},
    {thresholdMs: '60'},
    {thresholdMs: Number.NaN},
    {env: 'x'},
    {env: {A: 1}},
    {log: 'x'},
  ])
    await t.throwsAsync(
      supervise({...good, ...wrong} as never),
      {code: 'OPTION_INVALID'},
      JSON.stringify(wrong),
    );
  await t.throwsAsync(supervise(undefined as never), {code: 'OPTION_INVALID'});
  await t.throwsAsync(supervise({...good, name: undefined as never}), {code: 'NAME_INVALID'});
});
