/**
 * Proves what follows the end of a generation: decide() and waitStatus() in src/supervisor/fault.ts, over all that may come.
 *
 * To see it fail: compare with > instead of >=, forget to reset the count after a slow fault, or restart after EX_CONFIG; leave out
 * the pause, or the patience.
 * A failing property prints its seed and the smallest case; give the seed to fc.assert to repeat it.
 */
import {constants} from 'node:os';
import test from 'ava';
import fc from 'fast-check';
import {
  decide,
  decideUnstarted,
  EX_CONFIG,
  FAST_FAULTS_MAX,
  type History,
  type Life,
  throughWrapper,
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
const patienceMs = 60_000;

const none: History = {fastFaults: 0, failedBoots: 0, failingSinceMs: 0};
/** A life that came up. */
const life = (status: WaitStatus, number: number, ms: number): Life => ({
  generation: number,
  status,
  lifeMs: ms,
  stillborn: false,
  plain: false,
  planned: false,
});

test('an exit code is an exit, a signal is that signal by its usual name', t => {
  t.deepEqual(waitStatus(false, 3), {signal: null, exitCode: 3});
  t.deepEqual(waitStatus(true, 11), {signal: 'SIGSEGV', exitCode: null});
  t.deepEqual(waitStatus(true, 6), {signal: 'SIGABRT', exitCode: null});
  for (const number of signalNumbers) {
    const {signal} = waitStatus(true, number);
    t.is(constants.signals[signal!], number);
    // A shell says 128 + N.
    t.is(throughWrapper(waitStatus(false, 128 + number)).signal, signal);
  }
  t.deepEqual(throughWrapper(waitStatus(false, 3)), {signal: null, exitCode: 3});
});

test('exit code 0 ends a service that had come up, whatever came before', t => {
  fc.assert(
    fc.property(generation, lifeMs, fewFast, thresholdMs, (number, ms, fastFaults, threshold) => {
      const limits = {thresholdMs: threshold, patienceMs};
      t.like(decide(life(waitStatus(false, 0), number, ms), {...none, fastFaults}, limits, 0), {
        act: 'end',
        exitCode: 0,
      });
    }),
  );
});

test('a wrong configuration is not tried again, unless a former generation had come up with it', t => {
  const limits = {thresholdMs: 60_000, patienceMs};
  const wrong = waitStatus(false, EX_CONFIG);
  t.like(decide(life(wrong, 1, 5), none, limits, 0), {act: 'end', exitCode: EX_CONFIG});
  t.like(decide({...life(wrong, 2, 5), stillborn: true}, none, limits, 0), {act: 'restart', pauseMs: 0});
});

test('a fault is restarted; fast ones in a row are counted, any other one begins anew', t => {
  fc.assert(
    fc.property(
      fault,
      generation,
      lifeMs,
      fewFast,
      thresholdMs,
      (status, number, ms, fastFaults, threshold) => {
        const isFast = number > 1 && ms < threshold;
        const limits = {thresholdMs: threshold, patienceMs};
        const decision = decide(life(status, number, ms), {...none, fastFaults}, limits, 7);
        if (isFast && fastFaults + 1 === FAST_FAULTS_MAX) {
          t.like(decision, {act: 'give up', exitCode: 1});
        } else {
          t.deepEqual(decision, {
            act: 'restart',
            pauseMs: 0,
            history: {fastFaults: isFast ? fastFaults + 1 : 0, failedBoots: 0, failingSinceMs: 7},
          });
        }
      },
    ),
  );
});

test('with the threshold 0 no number of faults ends a service that comes up', t => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fault, lifeMs), {minLength: 50, maxLength: 200}), lives => {
      let history = none;
      for (const [index, [status, ms]] of lives.entries()) {
        const decision = decide(life(status, index + 1, ms), history, {thresholdMs: 0, patienceMs}, 0);
        t.is(decision.act, 'restart');
        if (decision.act === 'restart') ({history} = decision);
      }
    }),
    {numRuns: 20},
  );
});

test('a service that faults at once for ever is given up after FAST_FAULTS_MAX restarts, with the reason', t => {
  fc.assert(
    fc.property(fault, fc.integer({min: 1, max: 600}), (status, seconds) => {
      let history = none;
      let number = 1;
      for (; ; number++) {
        const limits = {thresholdMs: seconds * 1000, patienceMs};
        const decision = decide(life(status, number, 5), history, limits, 0);
        if (decision.act === 'restart') {
          ({history} = decision);
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

/** Lives that end at once, until they are given up; how long that took, and the pauses. */
function tryInVain(next: (history: History, nowMs: number) => ReturnType<typeof decide>): {
  ms: number;
  pauses: number[];
} {
  let history = none;
  let nowMs = 1_000_000;
  const pauses: number[] = [];
  for (;;) {
    const decision = next(history, nowMs);
    if (decision.act !== 'restart') return {ms: nowMs - 1_000_000, pauses};
    ({history} = decision);
    pauses.push(decision.pauseMs);
    nowMs += decision.pauseMs + 10;
  }
}

test('what does not come up is tried with growing pauses for as long as the patience says', t => {
  const limits = {thresholdMs: 0, patienceMs};
  fc.assert(
    fc.property(fault, status => {
      const {ms, pauses} = tryInVain((history, nowMs) =>
        decide({...life(status, 2, 10), stillborn: true}, history, limits, nowMs),
      );
      t.true(ms >= patienceMs && ms < patienceMs + 6_000, `${ms}`);
      t.deepEqual(pauses.slice(0, 5), [0, 50, 100, 200, 400]);
      t.is(Math.max(...pauses), 5_000);
    }),
    {numRuns: 20},
  );
  const unstarted = tryInVain((history, nowMs) => decideUnstarted(history, limits, nowMs, 'EAGAIN'));
  t.true(unstarted.ms >= patienceMs);
  t.true(Math.min(...unstarted.pauses) >= 50);
});

test('a plain program that ends at once again and again is started with growing pauses, without threshold, too', t => {
  let history = none;
  const pauses: number[] = [];
  for (let number = 1; number <= 12; number++) {
    const over: Life = {...life(waitStatus(false, 1), number, 3), plain: true};
    const decision = decide(over, history, {thresholdMs: 0, patienceMs}, number);
    if (decision.act !== 'restart') return t.fail();
    ({history} = decision);
    pauses.push(decision.pauseMs);
  }
  t.deepEqual(pauses, [0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000, 5000]);
});

test('a planned restart is no fault: it counts for nothing, however soon it comes', t => {
  fc.assert(
    fc.property(generation, lifeMs, fewFast, thresholdMs, (number, ms, fastFaults, threshold) => {
      const history = {...none, fastFaults};
      const limits = {thresholdMs: threshold, patienceMs};
      const killed = {...life(waitStatus(true, constants.signals.SIGKILL), number, ms), planned: true};
      t.deepEqual(decide(killed, history, limits, 0), {act: 'restart', history, pauseMs: 0});
    }),
  );
});
