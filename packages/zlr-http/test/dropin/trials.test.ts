/**
 * Proves, with time that a test makes pass, that suspects are tried one at a time and not for ever: each for 2 s, all for 10 s, and that
 * none is taken for one that was alone when it is no longer.
 *
 * To see it fail: in trials.ts do not say that a suspect is no longer alone; start the next trial when time is over.
 */
import {EventEmitter} from 'node:events';
import type {Server} from 'node:http';
import type {Socket} from 'node:net';
import {mock} from 'node:test';
import test from 'ava';
import type {Left} from '../../src/dropin/recovery.js';
import {Trials} from '../../src/dropin/trials.js';

class Suspect {
  tries = 0;
  isAlone = false;
  socket: EventEmitter | undefined;
  readonly left = {
    countAttempt: (alone: boolean) => {
      this.tries++;
      this.isAlone = alone;
    },
    joined: () => {
      this.isAlone = false;
    },
  } as unknown as Left;
}

function setUp(count: number) {
  const accepted: number[] = [];
  const handle = {onconnection: (error: number) => accepted.push(error)};
  const server = Object.assign(new EventEmitter(), {_handle: handle}) as unknown as Server & EventEmitter;
  const suspects = Array.from({length: count}, () => new Suspect());
  const trials = new Trials(
    suspects.map(({left}) => left),
    left => {
      const suspect = suspects.find(each => each.left === left)!;
      suspect.socket = new EventEmitter();
      return suspect.socket as unknown as Socket;
    },
  );
  trials.guard(server);
  for (const {left} of suspects) mustTake(trials, left, server);
  const running = (): number[] => suspects.flatMap(({isAlone}, at) => (isAlone ? [at] : []));
  return {accepted, handle, server, suspects, trials, running};
}

function mustTake(trials: Trials, left: Left, server: Server): void {
  if (!trials.takes(left, server, () => {})) throw new Error('a suspect is not tried');
}

const connect = ({handle}: {handle: {onconnection(error: number): void}}, who: number): void =>
  handle.onconnection(who);

test.serial.before(() => mock.timers.enable({apis: ['setTimeout']}));
test.serial.after.always(() => mock.timers.reset());

test.serial('answered one after the other, then everybody else is served', t => {
  const world = setUp(3);
  connect(world, 1);
  let served = 0;
  t.true(world.trials.takes({} as Left, world.server, () => served++));
  for (const at of [0, 1, 2]) {
    t.deepEqual(world.running(), [at]);
    t.deepEqual([world.accepted.length, served], [0, 0]);
    const response = new EventEmitter();
    world.server.emit('request', {socket: world.suspects[at]!.socket}, response);
    response.emit('close');
  }
  t.deepEqual(world.running(), []);
  t.deepEqual([world.accepted, served], [[1], 1]);
  t.false(
    world.trials.takes({} as Left, world.server, () => {}),
    'from here on nobody waits',
  );
  connect(world, 2);
  t.deepEqual(world.accepted, [1, 2]);
});

test.serial('who is not answered in time is no longer alone, and after 10 s nobody waits', t => {
  const world = setUp(8);
  connect(world, 1);
  for (const at of [0, 1, 2, 3, 4]) {
    t.deepEqual(world.running(), [at]);
    t.deepEqual(world.accepted, []);
    mock.timers.tick(2_000);
  }
  t.deepEqual(world.running(), [], 'the last ones run beside the others, and nothing is said of them');
  t.deepEqual(
    world.suspects.map(({tries}) => tries),
    [1, 1, 1, 1, 1, 1, 1, 1],
  );
  t.deepEqual(world.accepted, [1]);
});

test.serial('a suspect whose connection is gone is not waited for', t => {
  const world = setUp(2);
  world.suspects[0]!.socket!.emit('close');
  t.deepEqual(world.running(), [1]);
  world.trials.forget(world.suspects[1]!.left);
  connect(world, 1);
  t.deepEqual(world.accepted, [1]);
});
