/* What a supervisor knows, and what it is told and does (machine.ts): plain data, and what can be read off it. */
import type {FaultRecord, RestartSteps} from '../control/status.js';
import {type History, type Limits, throughWrapper, type WaitStatus} from './fault.js';
import {type Health, Trend} from './health.js';

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
  /** Since when it is the service: its start, or, of one that stood by, its turn. */
  readonly startedMs: number;
  readonly startedAt: string;
  /** Whose place it took. */
  readonly follows: number | undefined;
  /** When it came how far. */
  readonly reached: Partial<Record<Mark, number>>;
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

/** It was started; has loaded the package; waits for its turn; has it; has the channels; is ready. */
export type Mark = 'started' | 'loaded' | 'standing' | 'turn' | 'claimed' | 'registered';

/** Who is started before it is needed: a spare one, or a new program that is to take the old one's place. */
export type Ahead = 'standby' | 'candidate';

/** A restart that was asked for. */
export interface Deploy {
  readonly beganMs: number;
  /** A fault so soon after it was ready, and the former program comes back. */
  readonly probationMs: number;
  /** When the old generation was told to end. */
  relievedMs: number;
  /** The new generation, once it has taken the old one's place. */
  number: number | undefined;
}

/** What came of it. */
export type Outcome =
  | {readonly went: 'well'; readonly steps: RestartSteps}
  /** The old generation has gone on; or it had ended by then, and its program was started again. */
  | {readonly went: 'wrong'; readonly why: string; readonly tookOver: boolean; readonly steps: RestartSteps};

export type Phase = 'living' | 'freezing' | 'pausing' | 'ending' | 'ended';
export type Timer =
  | 'freeze'
  | 'serve'
  | 'start'
  | 'boot'
  | 'stop'
  | 'wrapper'
  | 'leave'
  | 'hang'
  | 'renew'
  | 'standby'
  | 'stale'
  | 'candidate'
  | 'probation'
  | `keep ${number}`
  | `twin ${number}`;

export interface State {
  readonly limits: Limits;
  phase: Phase;
  life: Life | undefined;
  /** It has been started in advance, and takes the place of `life` when that ends. */
  standby: Life | undefined;
  /** The new program, until its turn. */
  candidate: Life | undefined;
  deploy: Deploy | undefined;
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
  /** Of the process that was started last; each has a number of its own. */
  lastNumber: number;
  /** Standbys in a row that have not come to stand. */
  failedStandbys: number;
  stopping: boolean;
  lastWord: {exitCode: number; reason: string} | undefined;
  /** Tries in a row to clone a keeper that failed. */
  failedClones: number;
}

export type Event =
  | {type: 'start'}
  /** Instead of a start: a service whose supervisor has died. */
  | {type: 'adopted'; number: number; pid: number; at: string; hasKeeper: boolean}
  | {type: 'spawned'; number: number; as: Ahead | 'life'; pid: number; at: string}
  | {type: 'unspawned'; number: number; as: Ahead | 'life'; why: string}
  | {type: 'ended'; pid: number; status: WaitStatus | 'gone'; outOfMemory?: boolean}
  | {type: 'beat'; generation: number; pid: number; health: Health}
  /** What its JavaScript does instead of beating, a frame a line. */
  | {type: 'stack'; generation: number; pid: number; frames: readonly string[]}
  /** A link that was given away for a keeper of that generation is closed, and no keeper has spoken on it. */
  | {type: 'link lost'; of: number}
  | {type: 'member'; generation: number; pid: number}
  /** It has been started in advance, and has done what it can before its turn. */
  | {type: 'standing'; generation: number; pid: number}
  | {type: 'registered'; generation: number; pid: number}
  | {type: 'claim'; generation: number; pid: number}
  | {type: 'claimed'; generation: number; pid: number; channels: number}
  | {type: 'cloned'; generation: number; error: string | undefined}
  | {type: 'keeping'; pid: number; of: number; isTwin: boolean}
  | {type: 'twinned'; by: number; error: string | undefined}
  | {type: 'frozen'; pid: number; sequence: number; channels: number; inCharge: boolean; orderly: boolean}
  | {type: 'deaf'; pid: number}
  | {type: 'keeper died'; pid: number}
  | {type: 'served'; generation: number; atMs: number}
  /** What ended the generations before it is known, and ends no other. */
  | {type: 'blamed'; generation: number}
  /** A fresh generation is wanted, though nothing is wrong with this one. */
  | {type: 'restart'; probationMs: number}
  /** The program has changed since the standby was started. */
  | {type: 'stale'}
  | {type: 'timer'; timer: Timer}
  | {type: 'stop'};

export type Effect =
  | {do: 'spawn'; number: number; as: Ahead | 'life'; diesWithSupervisor: boolean}
  /** One that was started in advance is the service from here on. */
  | {do: 'turn'; to: number; as: Ahead; root: number; at: string}
  /** The former program is what is started from here on. */
  | {do: 'roll back'}
  | {do: 'restarted'; outcome: Outcome}
  | {do: 'twin'; keeper: number; of: number}
  | {do: 'keep'; of: number}
  | {do: 'freeze'; keeper: number; sequence: number}
  /** The keeper serves the generation, and each is given its end. */
  | {do: 'serve'; keeper: number; to: number}
  | {do: 'nothing to take over'; to: number}
  | {do: 'lead'; keeper: number; to: number}
  | {do: 'leave'; keeper: number}
  | {do: 'kill'; pid: number}
  | {do: 'terminate'; root: number}
  /** The generation is to beat so often. */
  | {do: 'watch'; to: number; everyMs: number; hangMs: number}
  | {do: 'renew'; to: number}
  | {do: 'sweep'; root: number}
  | {do: 'set timer'; timer: Timer; ms: number}
  | {do: 'clear timer'; timer: Timer}
  | {do: 'log'; line: string}
  | {do: 'finish'; exitCode: number; reason: string};

export function initialState(limits: Limits): State {
  return {
    limits,
    phase: 'pausing',
    life: undefined,
    standby: undefined,
    candidate: undefined,
    deploy: undefined,
    source: undefined,
    sourceChannels: 0,
    keepers: [],
    expected: new Map(),
    sequence: 0,
    asked: undefined,
    history: {fastFaults: 0, failedBoots: 0, failingSinceMs: 0},
    faults: [],
    faultCount: 0,
    lastNumber: 0,
    failedStandbys: 0,
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
  if (s.deploy) return 'another restart is under way';
  return whyNotRelieved(s);
}

/** Why a generation that is ready cannot be told to end at this instant: that can wait for a moment in which two hold its channels. */
export function whyNotRelieved(s: State): string | undefined {
  return keepersOf(s, s.life?.number).length < 2 ? 'it has not two keepers at this instant' : undefined;
}

export function stepsOf(deploy: Deploy, life: Life | undefined): RestartSteps {
  const {started, loaded, standing, turn, claimed, registered} = life?.reached ?? {};
  const relieved = deploy.relievedMs > 0 ? deploy.relievedMs : undefined;
  const all = {
    start: between(started, loaded),
    load: between(loaded, standing),
    finish: between(relieved, turn),
    adopt: between(turn, claimed),
    ready: between(claimed, registered),
  };
  return Object.fromEntries(Object.entries(all).filter(([, ms]) => ms !== undefined));
}

function between(from: number | undefined, to: number | undefined): number | undefined {
  return from === undefined || to === undefined ? undefined : Math.round(to - from);
}

/** From one heartbeat to the next, at most. */
const BEAT_MS = 1_000;

/** From one heartbeat to the next. */
export function beatMs({hangMs}: Limits): number {
  return hangMs > 0 ? Math.max(1, Math.min(BEAT_MS, hangMs / 4)) : BEAT_MS;
}

export function newLife(
  {number, pid, at}: {number: number; pid: number; at: string},
  startedMs: number,
  follows: number | undefined,
  limits: Limits,
): Life {
  return {
    number,
    root: pid,
    rootStatus: undefined,
    member: 0,
    memberStatus: undefined,
    startedMs,
    startedAt: at,
    follows,
    reached: {started: startedMs},
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
export function classOf(life: Life): FaultRecord['class'] {
  const {exitCode} = statusOf(life);
  if (exitCode !== null) return 'exit';
  return life.verdict ?? 'signal';
}

/** What an operator asks next. */
export function circumstances(life: Life): string {
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

export function statusOf(life: Life): WaitStatus {
  const {memberStatus, rootStatus, member, root} = life;
  if (memberStatus !== undefined && memberStatus !== 'gone') return memberStatus;
  const status = rootStatus ?? {signal: null, exitCode: null};
  return member !== 0 && member !== root ? throughWrapper(status) : status;
}
