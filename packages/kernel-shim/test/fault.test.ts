/**
 * Proves what follows the end of a generation: decide() and waitStatus() in src/supervisor/fault.ts, over all that may come.
 *
 * To see it fail: compare with > instead of >=, forget to reset the count after a slow fault, or restart after EX_CONFIG.
 * A failing property prints its seed and the smallest case; give the seed to fc.assert to repeat it.
 */
import {constants} from 'node:os';
import test from 'ava';
import fc from 'fast-check';
import {
  decide,
  EX_CONFIG,
  FAST_FAULTS_MAX,
  STILLBORN_MAX,
  type WaitStatus,
  waitStatus,
} from '../src/supervisor/fault.js';

const signalNumbers = Object.values(constants.signals);
const fault: fc.Arbitrary<WaitStatus> = fc.oneof(
  fc.constantFrom(...signalNumbers).map(number => waitStatus(true, number)),
  fc
    .integer({min: 1, max: 255})
    .filter(code => code !== EX_CONFIG)
    .map(code => waitStatus(false, code)),
);
const generation = fc.integer({min: 1, max: 1_000_000});
const lifeMs = fc.double({min: 0, max: 1e9, noNaN: true});
const thresholdMs = fc.oneof(fc.constant(0), fc.double({min: 0, max: 1e6, noNaN: true}));
const fewFast = fc.integer({min: 0, max: FAST_FAULTS_MAX - 1});
const fewStillborn = fc.integer({min: 0, max: STILLBORN_MAX - 1});

test('an exit code is an exit, a signal is that signal by its usual name', t => {
  t.deepEqual(waitStatus(false, 3), {signal: null, exitCode: 3});
  t.deepEqual(waitStatus(true, 11), {signal: 'SIGSEGV', exitCode: null});
  t.deepEqual(waitStatus(true, 6), {signal: 'SIGABRT', exitCode: null});
  for (const number of signalNumbers) {
    const {signal} = waitStatus(true, number);
    t.is(constants.signals[signal!], number);
  }
});

test('exit code 0 ends the service, whatever came before', t => {
  fc.assert(
    fc.property(
      generation,
      lifeMs,
      fewFast,
      thresholdMs,
      fc.nat(100),
      (number, life, fast, threshold, stillborn) => {
        const {act, ...rest} = decide(waitStatus(false, 0), number, life, fast, threshold, stillborn);
        t.is(act, 'end');
        t.like(rest, {exitCode: 0});
      },
    ),
  );
});

test('a wrong configuration is not tried again', t => {
  fc.assert(
    fc.property(
      generation,
      lifeMs,
      fewFast,
      thresholdMs,
      fc.nat(100),
      (number, life, fast, threshold, stillborn) => {
        t.like(decide(waitStatus(false, EX_CONFIG), number, life, fast, threshold, stillborn), {
          act: 'end',
          exitCode: EX_CONFIG,
        });
      },
    ),
  );
});

test('a fault is restarted; fast ones in a row are counted, any other one begins anew', t => {
  fc.assert(
    fc.property(
      fault,
      generation,
      lifeMs,
      fewFast,
      thresholdMs,
      fewStillborn,
      (status, number, life, fast, threshold, stillborn) => {
        const isFast = number > 1 && life < threshold;
        const decision = decide(status, number, life, fast, threshold, stillborn);
        if (isFast && fast + 1 === FAST_FAULTS_MAX) t.like(decision, {act: 'give up', exitCode: 1});
        else t.deepEqual(decision, {act: 'restart', fastFaults: isFast ? fast + 1 : 0});
      },
    ),
  );
});

test('with the threshold 0 no number of faults ends a service that boots', t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fault, lifeMs), {minLength: 50, maxLength: 200}), lives => {
      let fastFaults = 0;
      for (const [index, [status, life]] of lives.entries()) {
        const decision = decide(status, index + 1, life, fastFaults, 0, 0);
        t.is(decision.act, 'restart');
        if (decision.act === 'restart') ({fastFaults} = decision);
      }
    }),
    {numRuns: 20},
  );
});

test('a service that faults at once for ever is given up after FAST_FAULTS_MAX restarts, with the reason', t => {
  fc.assert(
    fc.property(fault, fc.integer({min: 1, max: 600}), (status, seconds) => {
      let fastFaults = 0;
      let number = 1;
      for (; ; number++) {
        const decision = decide(status, number, 5, fastFaults, seconds * 1000, 0);
        if (decision.act === 'restart') {
          ({fastFaults} = decision);
          continue;
        }
        t.is(decision.act, 'give up');
        t.true(decision.reason.startsWith(`${FAST_FAULTS_MAX} faults in a row came within ${seconds} s`));
        break;
      }
      t.is(number, FAST_FAULTS_MAX + 1); // the first generation was no restart
    }),
    {numRuns: 50},
  );
});

test('generations that cannot boot are given up whatever the threshold', t => {
  fc.assert(
    fc.property(fault, generation, lifeMs, thresholdMs, (status, number, life, threshold) => {
      t.like(decide(status, number, life, 0, threshold, STILLBORN_MAX), {act: 'give up', exitCode: 1});
    }),
  );
});
