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
import {type Decision, decide, decideUnstarted, describe, type WaitStatus} from './fault.js';
import {AGED_BEATS, exceeded, type Health} from './health.js';
import {
  type Ahead,
  beatMs,
  circumstances,
  classOf,
  type Effect,
  type Event,
  keepersOf,
  type Life,
  newLife,
  type State,
  statusOf,
  stepsOf,
  type Timer,
  whyNotRelieved,
  whyNotRenewed,
} from './state.js';

/** A keeper that does not answer for so long is taken for stuck, if there is another. */
const FREEZE_MS = 2_000;
/** What an orderly stop may take before the service is killed; more than the servers' own limit for answers in flight. */
const STOP_MS = 20_000;
/** What a shell above a service that has died may take to say how. */
const WRAPPER_MS = 1_000;
const LEAVE_MS = 2_000;
const CLONE_MS = 100;
const CLONE_MAX_MS = 10_000;
/** What a generation that is to be renewed may take to end between two turns of its event loop: more than its own limit for work that cannot be done again. */
const RENEW_MS = 7_000;
/** A generation that has just taken over has the processors for itself for so long. */
const QUIET_MS = 100;
/** A standby that did not come to stand is followed by another after this pause, which doubles each time. */
const STANDBY_MS = 1_000;
const STANDBY_MAX_MS = 60_000;
/** A standby of that age is replaced: what it has opened in advance may have gone by then. */
const STALE_MS = 3_600_000;
/** What a new program that waits for its turn may then take to be ready. */
const ADOPT_MS = 10_000;
/** `zlr status` shows so many; a service that faults for months must not grow a list. */
const FAULTS_MAX = 100;

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
        this.#spawn();
        return;
      case 'adopted':
        this.#onAdopted(event);
        return;
      case 'spawned':
        this.#onSpawned(event);
        return;
      case 'unspawned':
        this.#onUnspawned(event);
        return;
      case 'ended':
        if (this.#onAheadEnded(event.pid, event.status)) return;
        if (event.outOfMemory && life && s.phase === 'living') life.verdict ??= 'oom';
        this.#onEnded(event.pid, event.status);
        return;
      case 'link lost':
        this.#expect(event.of, -1);
        if (s.phase === 'ending') this.#finishWhenAlone();
        else this.#lookAgain(event.of);
        return;
      case 'member': {
        const it = this.#lifeOf(event.generation);
        if (it?.member !== 0) return;
        it.member = event.pid;
        it.reached.loaded = this.#nowMs;
        // The keepers that it cloned when it was loaded may be dead already.
        if ((it !== life || s.phase === 'living') && keepersOf(s, it.number).length === 0) this.#keep(it);
        return;
      }
      case 'standing':
        this.#onStanding(event);
        return;
      case 'registered':
        if (!this.#isMember(event)) return;
        life!.registered = true;
        life!.reached.registered = this.#nowMs;
        this.#watch();
        if (s.stopping) this.#terminate();
        this.#onReady();
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
        if (event.error !== undefined)
          this.#retry(`keep ${event.generation}`, `no keeper can be cloned: ${event.error}`);
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
        const fault =
          event.generation === life?.number &&
          s.faults.find(({record}) => record.generation === life.follows);
        if (fault) fault.record.downMs = Math.max(0, Math.round(event.atMs - fault.endedMs));
        return;
      }
      case 'blamed':
        if (event.generation === life?.number) s.history = {...s.history, fastFaults: 0};
        return;
      case 'restart':
        this.#onRestart(event.probationMs);
        return;
      case 'stale':
        if (s.deploy || !s.standby || s.phase !== 'living') return;
        this.#log(
          `generation ${s.standby.number}, which stands by, is older than the program's files; another one follows`,
        );
        this.#drop('standby');
        this.#prepare();
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

  #lifeOf(generation: number): Life | undefined {
    const {life, standby, candidate} = this.#s;
    return [life, standby, candidate].find(each => each?.number === generation);
  }

  // --- a generation's life --------------------------------------------------------------------------------------

  #spawn(): void {
    this.#s.phase = 'pausing';
    // One that is to take over must not outlive this supervisor before it has: keepers would start another.
    this.#start('life', this.#s.source !== undefined);
  }

  #start(as: Ahead | 'life', diesWithSupervisor: boolean): void {
    this.#do({do: 'spawn', number: ++this.#s.lastNumber, as, diesWithSupervisor});
  }

  #onUnspawned({number, as, why}: {number: number; as: Ahead | 'life'; why: string}): void {
    const s = this.#s;
    if (s.lastNumber === number) s.lastNumber--;
    if (as === 'candidate') this.#endDeploy(why);
    else if (as === 'standby') this.#despair(why);
    else if (s.phase === 'pausing') {
      if (s.history.failedBoots === 0) this.#log(`${why}; trying again`);
      this.#follow(undefined, decideUnstarted(s.history, s.limits, this.#nowMs, why));
    }
  }

  #onSpawned(spawned: {number: number; as: Ahead | 'life'; pid: number; at: string}): void {
    const s = this.#s;
    const {number, as, pid} = spawned;
    this.#expect(number, 1);
    if (as !== 'life') {
      s[as] = newLife(spawned, this.#nowMs, undefined, s.limits);
      if (s.stopping || s.phase === 'ending' || s.phase === 'ended' || (as === 'candidate' && !s.deploy))
        this.#drop(as);
      return;
    }
    const former = s.life;
    s.life = newLife(spawned, this.#nowMs, former?.number, s.limits);
    this.#live(former, `generation ${number} (pid ${pid})`);
  }

  /** There is another life. */
  #live(former: Life | undefined, who: string): void {
    const s = this.#s;
    s.phase = 'living';
    s.life!.claimed = s.source === undefined;
    if (former) {
      const died = `generation ${former.number} (pid ${former.member || former.root}) ${describe(statusOf(former))}${circumstances(former)}`;
      this.#log(
        s.source === undefined
          ? `${died} and no keeper holds its channels; ${who} starts afresh`
          : `${died}; ${who} takes over ${s.sourceChannels} channels`,
      );
    }
    if (s.source !== undefined) this.#do({do: 'set timer', timer: 'boot', ms: this.#bootMs()});
    if (s.stopping) this.#terminate();
  }

  #bootMs(): number {
    const {deploy, life, limits} = this.#s;
    return deploy && deploy.number === life!.number ? ADOPT_MS : limits.patienceMs;
  }

  // --- started in advance ---------------------------------------------------------------------------------------

  /** A standby is wanted while a generation serves, and while no new program is on its way. */
  #prepare(): void {
    const s = this.#s;
    if (!this.#mayPrepare()) return;
    const {failedStandbys: failed} = s;
    const ms = failed === 0 ? QUIET_MS : Math.min(STANDBY_MAX_MS, STANDBY_MS * 2 ** Math.min(failed - 1, 10));
    this.#do({do: 'set timer', timer: 'standby', ms});
  }

  #mayPrepare(): boolean {
    const {life, limits, standby, deploy, phase, stopping} = this.#s;
    return (
      limits.standby &&
      !standby &&
      !deploy &&
      !stopping &&
      phase === 'living' &&
      life!.registered &&
      life!.claimed
    );
  }

  #onStanding(event: {generation: number; pid: number}): void {
    const s = this.#s;
    const as = (['standby', 'candidate'] as const).find(role => s[role]?.number === event.generation);
    const it = as && s[as];
    if (!it || it.member !== event.pid || it.reached.standing !== undefined) return;
    it.reached.standing = this.#nowMs;
    this.#log(`generation ${it.number} (pid ${it.member}) stands by`);
    if (as === 'standby') {
      s.failedStandbys = 0;
      this.#do({do: 'set timer', timer: 'stale', ms: STALE_MS});
    } else {
      this.#relieve();
    }
  }

  /** True: it was one that was started in advance, and nobody's loss. */
  #onAheadEnded(pid: number, status: WaitStatus | 'gone'): boolean {
    const s = this.#s;
    const as = (['standby', 'candidate'] as const).find(
      role => s[role] && (s[role].root === pid || s[role].member === pid),
    );
    if (!as) return false;
    const {number, root, member} = s[as]!;
    const why = `generation ${number} (pid ${member || root}) ${describe(status === 'gone' ? {signal: null, exitCode: null} : status)}`;
    this.#drop(as);
    if (as === 'candidate') this.#endDeploy(`${why} before its turn`);
    else this.#despair(`${why} while it stood by`);
    return true;
  }

  #despair(why: string): void {
    const s = this.#s;
    if (s.failedStandbys++ === 0) this.#log(`${why}; another standby follows`);
    this.#prepare();
  }

  /** Ends one that was started in advance. */
  #drop(as: Ahead): void {
    const s = this.#s;
    const it = s[as];
    if (!it) return;
    s[as] = undefined;
    this.#do({do: 'clear timer', timer: as === 'standby' ? 'stale' : 'candidate'});
    this.#do({do: 'sweep', root: it.root});
    this.#dismiss(it.number);
    this.#do({do: 'clear timer', timer: `keep ${it.number}`});
  }

  /** The life is over, and another one follows. */
  #next(): void {
    const {candidate} = this.#s;
    const as = candidate ? 'candidate' : 'standby';
    if (this.#s[as]) this.#promote(as);
    else this.#spawn();
  }

  #promote(as: Ahead): void {
    const s = this.#s;
    const it = s[as]!;
    const former = s.life!;
    s[as] = undefined;
    this.#do({do: 'clear timer', timer: as === 'standby' ? 'stale' : 'candidate'});
    it.reached.turn = this.#nowMs;
    const at = new Date(this.#wallMs(this.#nowMs)).toISOString();
    s.life = {...it, startedMs: this.#nowMs, startedAt: at, follows: former.number};
    if (as === 'candidate') s.deploy!.number = it.number;
    // Before anything that is said to it.
    this.#do({do: 'turn', to: it.number, as, root: it.root, at});
    this.#live(former, `generation ${it.number} (pid ${it.member || it.root}), which stood by,`);
    if (it.member !== 0 && keepersOf(s, it.number).length === 0) this.#keep(s.life);
  }

  // --- a new program --------------------------------------------------------------------------------------------

  #onRestart(probationMs: number): void {
    const s = this.#s;
    if (whyNotRenewed(s) !== undefined) return;
    s.deploy = {beganMs: this.#nowMs, probationMs, relievedMs: 0, number: undefined};
    this.#do({do: 'clear timer', timer: 'standby'});
    this.#do({do: 'set timer', timer: 'candidate', ms: s.limits.patienceMs});
    this.#start('candidate', true);
  }

  /** The old generation ends when the new one waits for its turn, and two hold the channels meanwhile. */
  #relieve(): void {
    const s = this.#s;
    const {life, candidate, deploy, phase} = s;
    if (candidate?.reached.standing === undefined || !deploy || s.stopping) return;
    if (phase !== 'living' || !life!.registered || !life!.claimed || life!.verdict !== undefined) return;
    if (whyNotRelieved(s) !== undefined) return;
    deploy.relievedMs = this.#nowMs;
    this.#renewLife('restart', 'is to be restarted');
  }

  /** The generation is ready. */
  #onReady(): void {
    const s = this.#s;
    const {life, deploy} = s;
    if (deploy && deploy.number === life!.number && life!.claimed) {
      this.#do({do: 'clear timer', timer: 'boot'});
      this.#do({do: 'set timer', timer: 'probation', ms: deploy.probationMs});
    } else {
      this.#relieve();
    }
    this.#prepare();
  }

  #rollBack(life: Life): void {
    const why = `generation ${life.number} (pid ${life.member || life.root}) of the new program ${describe(statusOf(life))} ${
      life.registered && life.claimed ? 'within its probation' : 'before it was ready'
    }`;
    this.#record(life);
    this.#do({do: 'roll back'});
    this.#log(`${why}; the former program comes back`);
    this.#endDeploy(why);
    this.#next();
  }

  /** @param why it came to nothing; undefined: it went well */
  #endDeploy(why: string | undefined): void {
    const s = this.#s;
    const {deploy} = s;
    if (!deploy) return;
    s.deploy = undefined;
    const it = deploy.number === undefined ? s.candidate : s.life;
    const steps = stepsOf(deploy, it);
    const tookOver = deploy.number !== undefined;
    for (const timer of ['candidate', 'probation'] as const) this.#do({do: 'clear timer', timer});
    this.#drop('candidate');
    this.#do({
      do: 'restarted',
      outcome: why === undefined ? {went: 'well', steps} : {went: 'wrong', why, tookOver, steps},
    });
    // The one that stands by is of the former program, and there until now so that it could come back.
    if (why === undefined) this.#drop('standby');
    this.#prepare();
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
    s.lastNumber = number;
    s.life = newLife({number, pid, at}, this.#nowMs, undefined, s.limits);
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
    this.#do({do: 'watch', to: this.#s.life!.number, everyMs: beatMs(this.#s.limits), hangMs});
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
    this.#do({do: 'renew', to: life.number});
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
    for (const timer of [
      'boot',
      'serve',
      `keep ${life.number}`,
      'hang',
      'renew',
      'standby',
      'probation',
    ] as const)
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
    const it = this.#lifeOf(generation);
    if (!it && generation !== s.source) return;
    if (s.phase === 'freezing' && s.asked === undefined && (it === s.life || generation === s.source))
      this.#ask();
    if (it && it !== s.life && keepersOf(s, generation).length === 0) this.#keep(it);
    if (s.phase !== 'living' || !s.life) return;
    if (s.life.claiming && generation === s.source) this.#hand();
    if (it === s.life && keepersOf(s, generation).length === 0) this.#keep(it);
    if (it === s.life) this.#relieve();
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
    if (s.deploy && s.deploy.number === life.number) this.#rollBack(life);
    else this.#follow(life, decide(over, s.history, s.limits, this.#nowMs));
  }

  /** @param over the life that is; undefined: the next one could not be started */
  #follow(over: Life | undefined, decision: Decision): void {
    const s = this.#s;
    const isRelieved = decision.act === 'give up' && s.candidate !== undefined; // by a program that may be a better one
    if (decision.act !== 'restart' && !isRelieved) {
      if (decision.act === 'give up') {
        this.#log(`giving up: ${decision.reason}; the state stays, its channels close`);
      } else if (decision.exitCode !== 0) {
        this.#log(`not restarted: ${decision.reason}`);
      }
      this.#end(decision.exitCode, decision.reason);
      return;
    }
    if (decision.act === 'restart') s.history = decision.history;
    if (over) this.#record(over);
    s.phase = 'pausing';
    if (decision.act !== 'restart' || decision.pauseMs === 0) this.#next();
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
      this.#serve(keeper.pid);
    } else if (!this.#mayComeFor(s.source)) {
      s.source = undefined;
      this.#do({do: 'nothing to take over', to: s.life!.number});
    }
  }

  /** A keeper that goes on with a claim lets the end go that it is given now, and the generation the other one: nobody waits at it. */
  #serve(keeper: number): void {
    this.#do({do: 'serve', keeper, to: this.#s.life!.number});
    this.#do({do: 'set timer', timer: 'serve', ms: FREEZE_MS});
  }

  #onClaimed(channels: number): void {
    const s = this.#s;
    const life = s.life!;
    life.claiming = false;
    if (life.claimed) return;
    life.claimed = true;
    life.reached.claimed = this.#nowMs;
    this.#do({do: 'clear timer', timer: 'serve'});
    const fault = s.faults.at(-1)?.record;
    if (fault && fault.generation === life.follows) fault.channels = channels;
    // A new program is not ready before it says so.
    if (s.deploy?.number !== life.number) this.#do({do: 'clear timer', timer: 'boot'});
    this.#release();
    if (life.registered) this.#onReady();
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
    const isAlive = s.phase !== 'ending' && s.phase !== 'ended';
    if (!isAlive || (!this.#lifeOf(of) && of !== s.source)) {
      this.#do({do: 'leave', keeper: pid});
      return;
    }
    s.failedClones = 0;
    for (const keeper of s.keepers)
      if (keeper.of === of && keeper.deaf) this.#do({do: 'kill', pid: keeper.pid});
    // Whoever cloned a twin may have died since; what is expected besides may be the other one.
    if (keepersOf(s, of).length === 1 && !(isTwin && s.expected.has(of))) this.#twin(pid, of);
    if (this.#lifeOf(of)) this.#do({do: 'lead', keeper: keepersOf(s, of)[0]!.pid, to: of});
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
    const it = this.#lifeOf(generation);
    if (!it && generation !== s.source) return;
    if (other) this.#twin(other.pid, generation);
    if (it && it !== life) {
      this.#do({do: 'lead', keeper: other?.pid ?? 0, to: generation});
      if (!other) this.#keep(it);
      return;
    }
    if (generation === life?.number) {
      if (s.phase === 'freezing') {
        this.#do({do: 'clear timer', timer: 'freeze'});
        s.asked = undefined;
        this.#ask();
      } else if (s.phase === 'living') {
        this.#do({do: 'lead', keeper: other?.pid ?? 0, to: generation});
        if (!other) this.#keep(life);
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
    if (other && wasServed) this.#serve(other.pid);
    else this.#hand();
  }

  #twin(keeper: number, of: number): void {
    this.#expect(of, 1);
    this.#do({do: 'twin', keeper, of});
  }

  /** No keeper is left that could clone another: the generation does, from whatever memory it has by now. */
  #keep({number: of, member}: Life): void {
    if (member === 0 || this.#s.expected.has(of)) return; // it cannot, or one may be about to speak
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
    this.#endDeploy('the service is stopped');
    this.#drop('standby');
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
    this.#endDeploy(reason);
    this.#drop('standby');
    for (const timer of [
      'freeze',
      'serve',
      'start',
      'boot',
      'stop',
      'wrapper',
      'hang',
      'renew',
      'standby',
      ...(s.life ? ([`keep ${s.life.number}`] as const) : []),
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
        if (s.phase === 'pausing') this.#next();
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
        else if (life!.servedBy !== 0) this.#serve(life!.servedBy);
        return;
      }
      case 'boot':
        if (s.phase !== 'living' || (life!.claimed && s.deploy?.number !== life!.number)) return;
        this.#log(
          `generation ${life!.number} (pid ${life!.root}) has not taken over within ${this.#bootMs() / 1000} s (it ${
            life!.member === 0
              ? 'has not loaded the package'
              : life!.claimed
                ? 'has not called reregist()'
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
      case 'standby':
        if (this.#mayPrepare()) this.#start('standby', true);
        return;
      case 'stale':
        if (s.deploy || s.phase !== 'living') {
          this.#do({do: 'set timer', timer: 'stale', ms: STANDBY_MS});
          return;
        }
        this.#drop('standby');
        this.#prepare();
        return;
      case 'candidate':
        this.#endDeploy(
          `the new program has not come to wait for its turn within ${s.limits.patienceMs / 1000} s`,
        );
        return;
      case 'probation':
        if (s.phase === 'living') this.#endDeploy(undefined);
        return;
      default: {
        if (timer.startsWith('keep ')) {
          const it = this.#lifeOf(Number(timer.slice('keep '.length)));
          if (it && (it !== life || s.phase === 'living') && keepersOf(s, it.number).length === 0)
            this.#keep(it);
          return;
        }
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
