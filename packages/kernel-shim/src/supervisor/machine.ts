/*
 * What a supervisor does, as a pure function: (state, event) -> effects, the state being changed in place. supervisor.ts
 * carries the effects out and reports what happens.
 *
 *                 +--------------------------------------------------------------+
 *                 v                                                              |
 *   start --> living --- its process ends ---> freezing --- whose the channels --+--> pausing --> living ...
 *                 |                            (its keepers are asked)   are     |
 *                 | stop                                                         +--> ending --> ended
 *                 +--> SIGTERM ... its process ends ------------------------------^
 *
 * Who holds the channels:  `life`'s keepers, once it has taken over; until then those of `source`, the generation before,
 * which are told to leave when the next one says that it has everything, and not sooner.
 */
import type {FaultRecord} from '../control/status.js';
import {
  type Decision,
  decide,
  decideUnstarted,
  describe,
  type History,
  type Limits,
  throughWrapper,
  type WaitStatus,
} from './fault.js';
import {AGED_BEATS, exceeded, type Health, Trend} from './health.js';

export interface Keeper {
  readonly pid: number;
  /** The generation whose file table it shares. */
  readonly of: number;
  /** Its link is closed, so it hears nothing. */
  deaf: boolean;
}

export interface Life {
  readonly number: number;
  /** The process that was started: the service, or a shell or npm above it. */
  readonly root: number;
  rootStatus: WaitStatus | undefined;
  /** The process that has loaded the shim; 0: none has (yet). */
  member: number;
  memberStatus: WaitStatus | 'gone' | undefined;
  readonly startedMs: number;
  readonly startedAt: string;
  registered: boolean;
  /** It has what the former one left, or there was nothing. */
  claimed: boolean;
  /** It waits to take over. */
  claiming: boolean;
  /** The keeper that serves it; 0: none (yet). */
  servedBy: number;
  /** Its keepers have said that they are not in charge. */
  hasNothing: boolean;
  endedMs: number;
  /** As it last said. */
  health: Health | undefined;
  readonly trend: Trend;
  /** Its heartbeat is overdue: if none comes now, it hangs. */
  doubted: boolean;
  /** Where its JavaScript was when beats were missed; undefined: it has not said. */
  stack: readonly string[] | undefined;
  /** Beats in a row beyond a limit. */
  agedBeats: number;
  /** Why it was, or is being, killed, if that is known better than from its wait status. */
  verdict: 'hang' | 'aging' | 'oom' | 'restart' | undefined;
}

export type Phase = 'living' | 'freezing' | 'pausing' | 'ending' | 'ended';
export type Timer =
  | 'freeze'
  | 'serve'
  | 'start'
  | 'boot'
  | 'stop'
  | 'wrapper'
  | 'leave'
  | 'keep'
  | 'hang'
  | 'renew'
  | `twin ${number}`;

export interface State {
  readonly limits: Limits;
  phase: Phase;
  life: Life | undefined;
  /** The former generation whose keepers hold the channels until `life` has taken over. */
  source: number | undefined;
  /** How many channels that is. */
  sourceChannels: number;
  keepers: Keeper[];
  /** Links that were given away for keepers of a generation, and of which nothing has been heard: a keeper may stand already. */
  expected: Map<number, number>;
  /** Keepers that hold channels and have been asked, so that they can be told apart from late answers. */
  sequence: number;
  asked: number | undefined;
  history: History;
  /** The latest ones, and when each happened. */
  faults: {record: FaultRecord; endedMs: number}[];
  faultCount: number;
  /** Of the generation that is to be started. */
  nextNumber: number;
  stopping: boolean;
  lastWord: {exitCode: number; reason: string} | undefined;
  /** Tries in a row to clone a keeper that failed. */
  failedClones: number;
}

export type Event =
  | {type: 'start'}
  /** Instead of a start: a service whose supervisor has died. */
  | {type: 'adopted'; number: number; pid: number; at: string; hasKeeper: boolean}
  | {type: 'spawned'; number: number; pid: number; at: string}
  | {type: 'unspawned'; number: number; why: string}
  | {type: 'ended'; pid: number; status: WaitStatus | 'gone'; outOfMemory?: boolean}
  | {type: 'beat'; generation: number; pid: number; health: Health}
  /** What its JavaScript does instead of beating, a frame a line. */
  | {type: 'stack'; generation: number; pid: number; frames: readonly string[]}
  /** A link that was given away for a keeper of that generation is closed, and no keeper has spoken on it. */
  | {type: 'link lost'; of: number}
  | {type: 'member'; generation: number; pid: number}
  | {type: 'registered'; generation: number; pid: number}
  | {type: 'claim'; generation: number; pid: number}
  | {type: 'claimed'; generation: number; pid: number; channels: number}
  | {type: 'cloned'; error: string | undefined}
  | {type: 'keeping'; pid: number; of: number; isTwin: boolean}
  | {type: 'twinned'; by: number; error: string | undefined}
  | {type: 'frozen'; pid: number; sequence: number; channels: number; inCharge: boolean; orderly: boolean}
  | {type: 'deaf'; pid: number}
  | {type: 'keeper died'; pid: number}
  | {type: 'served'; generation: number; atMs: number}
  /** What ended the generations before it is known, and ends no other. */
  | {type: 'blamed'; generation: number}
  /** A fresh generation is wanted, though nothing is wrong with this one. */
  | {type: 'restart'}
  | {type: 'timer'; timer: Timer}
  | {type: 'stop'};

export type Effect =
  | {do: 'spawn'; number: number; diesWithSupervisor: boolean}
  | {do: 'twin'; keeper: number; of: number}
  | {do: 'keep'; of: number}
  | {do: 'freeze'; keeper: number; sequence: number}
  /** The keeper serves the next generation; `hand`: that one is given its end. */
  | {do: 'serve'; keeper: number; hand: boolean}
  | {do: 'nothing to take over'}
  | {do: 'lead'; keeper: number}
  | {do: 'leave'; keeper: number}
  | {do: 'kill'; pid: number}
  | {do: 'terminate'; root: number}
  /** The generation is to beat so often. */
  | {do: 'watch'; everyMs: number; hangMs: number}
  | {do: 'renew'}
  | {do: 'sweep'; root: number}
  | {do: 'set timer'; timer: Timer; ms: number}
  | {do: 'clear timer'; timer: Timer}
  | {do: 'log'; line: string}
  | {do: 'finish'; exitCode: number; reason: string};

/** A keeper that does not answer for so long is taken for stuck, if there is another. */
const FREEZE_MS = 2_000;
/** What an orderly stop may take before the service is killed; more than the servers' own limit for answers in flight. */
const STOP_MS = 20_000;
/** What a shell above a service that has died may take to say how. */
const WRAPPER_MS = 1_000;
const LEAVE_MS = 2_000;
const CLONE_MS = 100;
const CLONE_MAX_MS = 10_000;
const BEAT_MS = 1_000;
/** What a generation that is to be renewed may take to end between two turns of its event loop: more than its own limit for work that cannot be done again. */
const RENEW_MS = 7_000;
/** `zlr status` shows so many; a service that faults for months must not grow a list. */
const FAULTS_MAX = 100;

export function initialState(limits: Limits): State {
  return {
    limits,
    phase: 'pausing',
    life: undefined,
    source: undefined,
    sourceChannels: 0,
    keepers: [],
    expected: new Map(),
    sequence: 0,
    asked: undefined,
    history: {fastFaults: 0, failedBoots: 0, failingSinceMs: 0},
    faults: [],
    faultCount: 0,
    nextNumber: 1,
    stopping: false,
    lastWord: undefined,
    failedClones: 0,
  };
}

/** The keepers of a generation that can be spoken to, the older first. */
export function keepersOf(state: State, generation: number | undefined): Keeper[] {
  return state.keepers.filter(keeper => keeper.of === generation && !keeper.deaf);
}

/** Why the generation cannot be followed by a fresh one at this instant; undefined: it can. */
export function whyNotRenewed(s: State): string | undefined {
  const {life} = s;
  if (s.stopping || s.phase === 'ending' || s.phase === 'ended') return 'it is about to end';
  if (!life || s.phase !== 'living' || !life.claimed) return 'a generation of it boots';
  if (!life.registered) return 'it has not called reregist(), so nothing of it would be kept';
  if (life.verdict !== undefined) return 'a fresh one is on its way';
  // It can wait for a moment in which two hold the channels.
  return keepersOf(s, life.number).length < 2 ? 'it has not two keepers at this instant' : undefined;
}

/** Changes the state for one event, at an instant, and says what is to be done, in this order. */
export function step(state: State, event: Event, nowMs: number): Effect[] {
  const effects: Effect[] = [];
  new Step(state, effects, nowMs).on(event);
  return effects;
}

class Step {
  readonly #s: State;
  readonly #out: Effect[];
  readonly #nowMs: number;

  constructor(state: State, out: Effect[], nowMs: number) {
    this.#s = state;
    this.#out = out;
    this.#nowMs = nowMs;
  }

  on(event: Event): void {
    const s = this.#s;
    const {life} = s;
    switch (event.type) {
      case 'start':
        this.#spawn(1);
        return;
      case 'adopted':
        this.#onAdopted(event);
        return;
      case 'spawned':
        this.#onSpawned(event);
        return;
      case 'unspawned':
        if (s.phase !== 'pausing') return;
        if (s.history.failedBoots === 0) this.#log(`${event.why}; trying again`);
        this.#follow(event.number - 1, decideUnstarted(s.history, s.limits, this.#nowMs, event.why));
        return;
      case 'ended':
        if (event.outOfMemory && life && s.phase === 'living') life.verdict ??= 'oom';
        this.#onEnded(event.pid, event.status);
        return;
      case 'link lost':
        this.#expect(event.of, -1);
        if (s.phase === 'ending') this.#finishWhenAlone();
        else this.#lookAgain(event.of);
        return;
      case 'member':
        if (life?.number !== event.generation || life.member !== 0) return;
        life.member = event.pid;
        // The keepers that it cloned when it was loaded may be dead already.
        if (s.phase === 'living' && keepersOf(s, life.number).length === 0) this.#keep();
        return;
      case 'registered':
        if (!this.#isMember(event)) return;
        life!.registered = true;
        this.#watch();
        if (s.stopping) this.#terminate();
        return;
      case 'beat':
        if (!this.#isMember(event)) return;
        life!.health = event.health; // the last one may be heard after its death
        if (s.phase === 'living') this.#onBeat(event.health);
        return;
      case 'stack':
        if (this.#isMember(event)) life!.stack = event.frames;
        return;
      case 'claim':
        if (!this.#isMember(event) || s.phase !== 'living') return;
        life!.servedBy = 0; // what it was given came to nothing
        this.#hand();
        return;
      case 'claimed':
        // Of one that is dead its keepers are asked: until they have answered, the source is not let go.
        if (this.#isMember(event) && s.phase === 'living') this.#onClaimed(event.channels);
        return;
      case 'cloned':
        if (event.error !== undefined) this.#retry('keep', `no keeper can be cloned: ${event.error}`);
        else s.failedClones = 0;
        return;
      case 'keeping':
        this.#onKeeping(event);
        return;
      case 'twinned':
        if (event.error !== undefined) {
          this.#retry(`twin ${event.by}`, `no second keeper can be cloned: ${event.error}`);
        } else {
          s.failedClones = 0;
        }
        return;
      case 'frozen':
        this.#onFrozen(event);
        return;
      case 'deaf':
        this.#onDeaf(event.pid);
        return;
      case 'keeper died':
        this.#onKeeperDied(event.pid);
        return;
      case 'served': {
        const fault = s.faults.find(({record}) => record.generation + 1 === event.generation);
        if (fault) fault.record.downMs = Math.max(0, Math.round(event.atMs - fault.endedMs));
        return;
      }
      case 'blamed':
        if (event.generation === life?.number) s.history = {...s.history, fastFaults: 0};
        return;
      case 'restart':
        if (whyNotRenewed(s) === undefined) this.#renewLife('restart', 'is to be restarted');
        return;
      case 'timer':
        this.#onTimer(event.timer);
        return;
      case 'stop':
        this.#onStop();
        return;
    }
  }

  /** What comes late speaks for a generation that is over. */
  #isMember({generation, pid}: {generation: number; pid: number}): boolean {
    const {life} = this.#s;
    return life?.number === generation && life.member === pid;
  }

  // --- a generation's life --------------------------------------------------------------------------------------

  #spawn(number: number): void {
    this.#s.phase = 'pausing';
    // One that is to take over must not outlive this supervisor before it has: keepers would start another.
    this.#do({do: 'spawn', number, diesWithSupervisor: this.#s.source !== undefined});
  }

  #onSpawned({number, pid, at}: {number: number; pid: number; at: string}): void {
    const s = this.#s;
    const former = s.life;
    this.#expect(number, 1);
    s.phase = 'living';
    s.life = newLife(number, pid, this.#nowMs, at, s.limits);
    s.life.claimed = s.source === undefined;
    if (former) {
      const died = `generation ${former.number} (pid ${former.member || former.root}) ${describe(statusOf(former))}${circumstances(former)}`;
      this.#log(
        s.source === undefined
          ? `${died} and no keeper holds its channels; starting afresh`
          : `${died}; generation ${number} (pid ${pid}) takes over ${s.sourceChannels} channels`,
      );
    }
    if (s.source !== undefined) this.#do({do: 'set timer', timer: 'boot', ms: s.limits.patienceMs});
    if (s.stopping) this.#terminate();
  }

  #onAdopted({
    number,
    pid,
    at,
    hasKeeper,
  }: {
    number: number;
    pid: number;
    at: string;
    hasKeeper: boolean;
  }): void {
    const s = this.#s;
    s.phase = 'living';
    s.life = newLife(number, pid, this.#nowMs, at, s.limits);
    s.life.member = hasKeeper ? pid : 0;
    s.life.registered = s.life.claimed = true;
    this.#log(
      `generation ${number} (pid ${pid}) lives, and its supervisor does not: it is adopted` +
        (hasKeeper ? '' : ', but no keeper holds its channels'),
    );
  }

  // --- its health -----------------------------------------------------------------------------------------------

  #watch(): void {
    const {hangMs} = this.#s.limits;
    this.#do({do: 'watch', everyMs: beatMs(this.#s.limits), hangMs});
    this.#expectBeat();
  }

  #expectBeat(): void {
    const {life, limits} = this.#s;
    life!.doubted = false;
    life!.stack = undefined;
    if (limits.hangMs > 0) this.#do({do: 'set timer', timer: 'hang', ms: limits.hangMs});
  }

  #onBeat(health: Health): void {
    const s = this.#s;
    const life = s.life!;
    if (life.registered) this.#expectBeat();
    if (!life.registered) return;
    life.trend.add(this.#nowMs, health);
    const why = exceeded(health, life.trend, s.limits.aging);
    life.agedBeats = why === undefined ? 0 : life.agedBeats + 1;
    // What is beyond a limit so soon has not grown old: the limit is too low, and another life would be no better.
    if (
      why === undefined ||
      life.agedBeats < AGED_BEATS ||
      this.#nowMs - life.startedMs < s.limits.thresholdMs
    )
      return;
    if (whyNotRenewed(s) === undefined) this.#renewLife('aging', `has grown old (${why})`);
  }

  #renewLife(verdict: 'aging' | 'restart', why: string): void {
    const life = this.#s.life!;
    life.verdict = verdict;
    this.#log(`generation ${life.number} (pid ${life.member}) ${why}; a fresh one follows`);
    this.#do({do: 'renew'});
    this.#do({do: 'set timer', timer: 'renew', ms: RENEW_MS});
  }

  /** Twice: if this process stood still itself, what was said meanwhile is heard between the two. */
  #onSilence(): void {
    const s = this.#s;
    if (s.phase !== 'living' || !s.life!.registered) return;
    const life = s.life!;
    if (!life.doubted) {
      life.doubted = true;
      this.#do({do: 'set timer', timer: 'hang', ms: s.limits.hangMs / 4});
      return;
    }
    life.verdict ??= 'hang';
    this.#log(
      `generation ${life.number} (pid ${life.member}) hangs: no heartbeat for ${(s.limits.hangMs * 1.25) / 1000} s; killing it. ${life.stack ? 'Its JavaScript is at:' : 'It does not say where: it is stopped, or in native code'}`,
    );
    for (const frame of life.stack ?? []) this.#log(`    at ${frame}`);
    this.#do({do: 'sweep', root: life.root});
  }

  #onEnded(pid: number, status: WaitStatus | 'gone'): void {
    const {life} = this.#s;
    if (!life || this.#s.phase !== 'living') return;
    if (pid === life.member) life.memberStatus ??= status;
    if (pid === life.root) life.rootStatus ??= status === 'gone' ? {signal: null, exitCode: null} : status;
    if (life.member !== 0 && life.memberStatus === undefined) return; // a shell above it is of no account
    if (life.rootStatus === undefined) {
      if (life.memberStatus !== undefined) this.#do({do: 'set timer', timer: 'wrapper', ms: WRAPPER_MS});
      return;
    }
    life.endedMs = this.#nowMs;
    this.#do({do: 'clear timer', timer: 'wrapper'});
    for (const timer of ['boot', 'serve', 'keep', 'hang', 'renew'] as const)
      this.#do({do: 'clear timer', timer});
    this.#do({do: 'sweep', root: life.root});
    this.#s.phase = 'freezing';
    this.#ask();
  }

  /**
   * Asks the keepers of the generation that died, the older first, whether the channels are theirs. A keeper of which nothing
   * is known yet is waited for: it speaks, or its link closes.
   */
  #ask(): void {
    const s = this.#s;
    const life = s.life!;
    const [keeper] = life.hasNothing ? [] : keepersOf(s, life.number);
    if (keeper) {
      s.asked = keeper.pid;
      this.#do({do: 'freeze', keeper: keeper.pid, sequence: ++s.sequence});
      this.#do({do: 'set timer', timer: 'freeze', ms: FREEZE_MS});
    } else if (!(this.#mayComeFor(life.number) && !life.hasNothing) && !this.#mayComeFor(s.source)) {
      this.#settle();
    }
  }

  #expect(of: number, change: number): void {
    const {expected} = this.#s;
    const count = (expected.get(of) ?? 0) + change;
    if (count > 0) expected.set(of, count);
    else expected.delete(of);
  }

  /** No keeper of that generation can be spoken to, but one may be about to speak. */
  #mayComeFor(generation: number | undefined): boolean {
    const s = this.#s;
    return generation !== undefined && keepersOf(s, generation).length === 0 && s.expected.has(generation);
  }

  /** Something has become known of the keepers of that generation that others wait for. */
  #lookAgain(generation: number): void {
    const s = this.#s;
    if (generation !== s.life?.number && generation !== s.source) return;
    if (s.phase === 'freezing' && s.asked === undefined) this.#ask();
    if (s.phase !== 'living' || !s.life) return;
    if (s.life.claiming && generation === s.source) this.#hand();
    if (generation === s.life.number && keepersOf(s, generation).length === 0) this.#keep();
  }

  #onFrozen({
    pid,
    sequence,
    channels,
    inCharge,
    orderly,
  }: {
    pid: number;
    sequence: number;
    channels: number;
    inCharge: boolean;
    orderly: boolean;
  }): void {
    const s = this.#s;
    if (s.phase !== 'freezing' || s.asked !== pid || sequence !== s.sequence) return;
    const {number} = s.life!;
    this.#do({do: 'clear timer', timer: 'freeze'});
    s.asked = undefined;
    // Of a process that another supervisor started nobody says how it ended; but it may have said so itself.
    if (orderly && s.life!.memberStatus === 'gone') s.life!.memberStatus = {signal: null, exitCode: 0};
    if (inCharge) {
      this.#dismiss(s.source);
      s.source = number;
      s.sourceChannels = channels;
      s.life!.claimed = true;
      this.#settle();
    } else {
      s.life!.hasNothing = true;
      this.#dismiss(number);
      this.#ask();
    }
  }

  /** It is known how the generation ended, and who holds its channels. */
  #settle(): void {
    const s = this.#s;
    const life = s.life!;
    if (s.source !== undefined && keepersOf(s, s.source).length === 0) s.source = undefined;
    const status = statusOf(life);
    if (s.stopping) {
      this.#end(
        status.exitCode ?? (status.signal === 'SIGTERM' || status.signal === null ? 0 : 1),
        'stopped',
      );
      return;
    }
    const over = {
      generation: life.number,
      status,
      lifeMs: life.endedMs - life.startedMs,
      stillborn: life.number > 1 && (!life.claimed || (life.member !== 0 && !life.registered)),
      plain: life.member === 0,
      planned: ['aging', 'restart'].includes(classOf(life)),
    };
    this.#follow(life.number, decide(over, s.history, s.limits, this.#nowMs));
  }

  #follow(number: number, decision: Decision): void {
    const s = this.#s;
    if (decision.act !== 'restart') {
      if (decision.act === 'give up') {
        this.#log(`giving up: ${decision.reason}; the state stays, its channels close`);
      } else if (decision.exitCode !== 0) {
        this.#log(`not restarted: ${decision.reason}`);
      }
      this.#end(decision.exitCode, decision.reason);
      return;
    }
    s.history = decision.history;
    if (s.life?.number === number && s.faults.at(-1)?.record.generation !== number) this.#record(s.life);
    s.phase = 'pausing';
    s.nextNumber = number + 1;
    if (decision.pauseMs === 0) this.#spawn(s.nextNumber);
    else this.#do({do: 'set timer', timer: 'start', ms: decision.pauseMs});
  }

  #record(life: Life): void {
    const s = this.#s;
    const status = statusOf(life);
    const record: FaultRecord = {
      generation: life.number,
      class: classOf(life),
      ...status,
      at: new Date(this.#wallMs(life.endedMs)).toISOString(),
      downMs: null,
      channels: s.source === undefined ? 0 : s.sourceChannels,
      uptimeMs: Math.round(life.endedMs - life.startedMs),
      rssBytes: life.health?.rssBytes ?? null,
      heapBytes: life.health?.heapBytes ?? null,
    };
    s.faults.push({record, endedMs: life.endedMs});
    s.faultCount++;
    if (s.faults.length > FAULTS_MAX) s.faults.shift();
  }

  #wallMs(ms: number): number {
    const life = this.#s.life!;
    return Date.parse(life.startedAt) + (ms - life.startedMs);
  }

  // --- taking over ----------------------------------------------------------------------------------------------

  #hand(): void {
    const s = this.#s;
    s.life!.claiming = true;
    if (s.life!.servedBy !== 0) return;
    const [keeper] = keepersOf(s, s.source);
    if (keeper) {
      s.life!.servedBy = keeper.pid;
      this.#serve(keeper.pid, true);
    } else if (!this.#mayComeFor(s.source)) {
      s.source = undefined;
      this.#do({do: 'nothing to take over'});
    }
  }

  #serve(keeper: number, hand: boolean): void {
    this.#do({do: 'serve', keeper, hand});
    this.#do({do: 'set timer', timer: 'serve', ms: FREEZE_MS});
  }

  #onClaimed(channels: number): void {
    const s = this.#s;
    const life = s.life!;
    life.claiming = false;
    if (life.claimed) return;
    life.claimed = true;
    this.#do({do: 'clear timer', timer: 'serve'});
    const fault = s.faults.at(-1)?.record;
    if (fault && fault.generation + 1 === life.number) fault.channels = channels;
    this.#do({do: 'clear timer', timer: 'boot'});
    this.#release();
  }

  /** The former generation's keepers go when the next one has everything and a keeper of its own: no instant is without one. */
  #release(): void {
    const s = this.#s;
    if (s.source === undefined || !s.life!.claimed || keepersOf(s, s.life!.number).length === 0) return;
    this.#dismiss(s.source);
    s.source = undefined;
  }

  // --- keepers --------------------------------------------------------------------------------------------------

  #onKeeping({pid, of, isTwin}: {pid: number; of: number; isTwin: boolean}): void {
    const s = this.#s;
    if (s.keepers.some(keeper => keeper.pid === pid)) return;
    s.keepers.push({pid, of, deaf: false});
    this.#expect(of, -1);
    const {life} = s;
    const holds = s.phase !== 'ending' && s.phase !== 'ended' && (of === life?.number || of === s.source);
    if (!holds) {
      this.#do({do: 'leave', keeper: pid});
      return;
    }
    s.failedClones = 0;
    for (const keeper of s.keepers)
      if (keeper.of === of && keeper.deaf) this.#do({do: 'kill', pid: keeper.pid});
    if (!isTwin && keepersOf(s, of).length === 1) this.#twin(pid, of);
    if (of === life?.number) this.#do({do: 'lead', keeper: keepersOf(s, of)[0]!.pid});
    if (s.phase === 'living') this.#release();
    this.#lookAgain(of);
  }

  #onDeaf(pid: number): void {
    const s = this.#s;
    const keeper = s.keepers.find(each => each.pid === pid);
    if (!keeper || keeper.deaf) return;
    keeper.deaf = true;
    // It still holds the table. It goes when another one does: at once, or when that stands.
    if (keepersOf(s, keeper.of).length > 0) this.#do({do: 'kill', pid});
    else this.#renew(keeper.of);
  }

  #onKeeperDied(pid: number): void {
    const s = this.#s;
    const keeper = s.keepers.find(each => each.pid === pid);
    if (!keeper) return;
    s.keepers = s.keepers.filter(each => each !== keeper);
    this.#do({do: 'clear timer', timer: `twin ${pid}`});
    if (s.phase === 'ending') this.#finishWhenAlone();
    else if (s.phase !== 'ended') this.#renew(keeper.of);
  }

  /** A keeper of that generation is gone or deaf. */
  #renew(generation: number): void {
    const s = this.#s;
    const {life} = s;
    const [other] = keepersOf(s, generation);
    if (generation !== life?.number && generation !== s.source) return;
    if (other) this.#twin(other.pid, generation);
    if (generation === life?.number) {
      if (s.phase === 'freezing') {
        this.#do({do: 'clear timer', timer: 'freeze'});
        s.asked = undefined;
        this.#ask();
      } else if (s.phase === 'living') {
        this.#do({do: 'lead', keeper: other?.pid ?? 0});
        if (!other) this.#keep();
      }
      if (generation !== s.source) return;
    }
    if (s.phase === 'freezing' && s.asked === undefined) this.#ask();
    if (
      s.phase !== 'living' ||
      !life?.claiming ||
      keepersOf(s, s.source).some(({pid}) => pid === life.servedBy)
    )
      return;
    const wasServed = life.servedBy !== 0;
    life.servedBy = other && wasServed ? other.pid : 0;
    if (other && wasServed) this.#serve(other.pid, false);
    else this.#hand();
  }

  #twin(keeper: number, of: number): void {
    this.#expect(of, 1);
    this.#do({do: 'twin', keeper, of});
  }

  /** No keeper is left that could clone another: the generation does, from whatever memory it has by now. */
  #keep(): void {
    const {life, expected} = this.#s;
    const of = life!.number;
    if (life!.member === 0 || expected.has(of)) return; // it cannot, or one may be about to speak
    this.#expect(of, 1);
    this.#do({do: 'keep', of});
  }

  /** Every keeper of a generation lets its table go. */
  #dismiss(generation: number | undefined): void {
    if (generation === undefined) return;
    for (const keeper of this.#s.keepers) {
      if (keeper.of !== generation) continue;
      this.#do(keeper.deaf ? {do: 'kill', pid: keeper.pid} : {do: 'leave', keeper: keeper.pid});
    }
  }

  #retry(timer: Timer, line: string): void {
    const s = this.#s;
    if (s.failedClones++ === 0) this.#log(`${line}; trying again`);
    this.#do({
      do: 'set timer',
      timer,
      ms: Math.min(CLONE_MAX_MS, CLONE_MS * 2 ** Math.min(s.failedClones, 7)),
    });
  }

  // --- the end --------------------------------------------------------------------------------------------------

  #onStop(): void {
    const s = this.#s;
    if (s.stopping || s.phase === 'ending' || s.phase === 'ended') return;
    s.stopping = true;
    if (s.phase === 'pausing') {
      this.#do({do: 'clear timer', timer: 'start'});
      this.#end(0, 'stopped');
      return;
    }
    this.#do({do: 'set timer', timer: 'stop', ms: STOP_MS});
    this.#terminate();
  }

  /**
   * SIGTERM, but not while a next generation boots: without its handlers yet it would die of the signal, and with it
   * the answers that it was to finish. When it registers, this is called again.
   */
  #terminate(): void {
    const {life, phase} = this.#s;
    if (!life || phase !== 'living') return;
    const booting = !life.claimed || (life.number > 1 && life.member !== 0 && !life.registered);
    if (!booting) this.#do({do: 'terminate', root: life.root});
  }

  #end(exitCode: number, reason: string): void {
    const s = this.#s;
    if (s.phase === 'ending' || s.phase === 'ended') return;
    s.phase = 'ending';
    s.lastWord = {exitCode, reason};
    for (const timer of [
      'freeze',
      'serve',
      'start',
      'boot',
      'stop',
      'wrapper',
      'keep',
      'hang',
      'renew',
    ] as const) {
      this.#do({do: 'clear timer', timer});
    }
    for (const {pid} of s.keepers) this.#do({do: 'clear timer', timer: `twin ${pid}`});
    for (const of of new Set(s.keepers.map(keeper => keeper.of))) this.#dismiss(of);
    this.#do({do: 'set timer', timer: 'leave', ms: LEAVE_MS});
    this.#finishWhenAlone();
  }

  #finishWhenAlone(): void {
    const s = this.#s;
    // One that is being cloned and was not told to leave would be left behind.
    if (s.keepers.length > 0 || s.expected.size > 0) return;
    s.phase = 'ended';
    this.#do({do: 'clear timer', timer: 'leave'});
    this.#do({do: 'finish', ...s.lastWord!});
  }

  #onTimer(timer: Timer): void {
    const s = this.#s;
    const {life} = s;
    switch (timer) {
      case 'start':
        if (s.phase === 'pausing') this.#spawn(s.nextNumber);
        return;
      case 'freeze': {
        if (s.phase !== 'freezing' || s.asked === undefined) return;
        const [keeper, other] = keepersOf(s, life!.number);
        if (!keeper) return;
        if (other) {
          this.#log(
            `a keeper (pid ${keeper.pid}) is silent since generation ${life!.number} died; going on with the other`,
          );
          this.#do({do: 'kill', pid: keeper.pid}); // its death is what goes on from here
        } else {
          this.#ask(); // the only one that has the channels is waited for
        }
        return;
      }
      case 'serve': {
        if (s.phase !== 'living' || !life!.claiming) return;
        const [other] = keepersOf(s, s.source).filter(({pid}) => pid !== life!.servedBy);
        // Killed, the other one goes on where it was; the only one is woken, and waited for.
        if (other) this.#do({do: 'kill', pid: life!.servedBy});
        else if (life!.servedBy !== 0) this.#serve(life!.servedBy, false);
        return;
      }
      case 'boot':
        if (s.phase !== 'living' || life!.claimed) return;
        this.#log(
          `generation ${life!.number} (pid ${life!.root}) has not taken over within ${s.limits.patienceMs / 1000} s (it ${
            life!.member === 0
              ? 'has not loaded the package'
              : life!.claiming
                ? 'waits for the channels'
                : 'has not asked'
          }); killing it`,
        );
        this.#do({do: 'sweep', root: life!.root});
        return;
      case 'stop':
        if (s.phase !== 'living') return;
        this.#log(`the service did not end within ${STOP_MS / 1000} s of SIGTERM; killing it`);
        this.#do({do: 'sweep', root: life!.root});
        return;
      case 'hang':
        this.#onSilence();
        return;
      case 'renew':
        if (s.phase === 'living') this.#do({do: 'sweep', root: life!.root});
        return;
      case 'wrapper':
        if (s.phase === 'living') this.#do({do: 'sweep', root: life!.root});
        return;
      case 'leave':
        for (const {pid} of s.keepers) this.#do({do: 'kill', pid});
        s.expected.clear(); // long enough
        if (s.phase === 'ending') this.#finishWhenAlone();
        return;
      case 'keep':
        if (s.phase === 'living' && keepersOf(s, life!.number).length === 0) this.#keep();
        return;
      default: {
        const pid = Number(timer.slice('twin '.length));
        const keeper = s.keepers.find(each => each.pid === pid && !each.deaf);
        if (keeper && keepersOf(s, keeper.of).length === 1) this.#twin(pid, keeper.of);
      }
    }
  }

  #do(effect: Effect): void {
    this.#out.push(effect);
  }

  #log(line: string): void {
    this.#do({do: 'log', line});
  }
}

/** From one heartbeat to the next. */
function beatMs({hangMs}: Limits): number {
  return hangMs > 0 ? Math.max(1, Math.min(BEAT_MS, hangMs / 4)) : BEAT_MS;
}

function newLife(number: number, root: number, startedMs: number, startedAt: string, limits: Limits): Life {
  return {
    number,
    root,
    rootStatus: undefined,
    member: 0,
    memberStatus: undefined,
    startedMs,
    startedAt,
    registered: false,
    claimed: false,
    claiming: false,
    servedBy: 0,
    hasNothing: false,
    endedMs: 0,
    health: undefined,
    trend: new Trend(Math.max(beatMs(limits), limits.thresholdMs)),
    doubted: false,
    stack: undefined,
    agedBeats: 0,
    verdict: undefined,
  };
}

/** A verdict counts for what was killed: one that had ended by itself meanwhile says so. */
function classOf(life: Life): FaultRecord['class'] {
  const {exitCode} = statusOf(life);
  if (exitCode !== null) return 'exit';
  return life.verdict ?? 'signal';
}

/** What an operator asks next. */
function circumstances(life: Life): string {
  const kind = classOf(life);
  const parts = [
    ...(kind === 'signal' || kind === 'exit' ? [] : [kind]),
    `after ${((life.endedMs - life.startedMs) / 1000).toFixed(1)} s`,
    ...(life.health
      ? [
          `RSS ${Math.round(life.health.rssBytes / 1e6)} MB`,
          `heap ${Math.round(life.health.heapBytes / 1e6)} MB`,
        ]
      : []),
  ];
  return ` (${parts.join(', ')})`;
}

function statusOf(life: Life): WaitStatus {
  const {memberStatus, rootStatus, member, root} = life;
  if (memberStatus !== undefined && memberStatus !== 'gone') return memberStatus;
  const status = rootStatus ?? {signal: null, exitCode: null};
  return member !== 0 && member !== root ? throughWrapper(status) : status;
}
