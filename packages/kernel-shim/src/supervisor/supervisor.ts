import {rmSync} from 'node:fs';
import type {Server} from 'node:net';
import {constants} from 'node:os';
import {setTimeout as delay} from 'node:timers/promises';
import {birthVariable} from '../backend/birth.js';
import {readHistory, writeHistory} from '../control/history.js';
import {Log} from '../control/log.js';
import {
  isThere,
  makeRunDir,
  type RunDir,
  removeRunDir,
  type ServiceNote,
  startTicks,
  writeServiceNote,
} from '../control/run-dir.js';
import {serveCommands} from '../control/server.js';
import type {Restarted, RestartOptions, Status} from '../control/status.js';
import {assertFits, errnoName, ShimError} from '../errors.js';
import {Door} from '../links/door.js';
import {Link, makePair, type Received} from '../links/link.js';
import {IN_CHARGE, Kind, ORDERLY} from '../links/word.js';
import {native} from '../native.js';
import {say} from '../say.js';
import {adoptOrphan, type Orphan} from './adoption.js';
import {type WaitStatus, waitStatus} from './fault.js';
import {step} from './machine.js';
import {oomKills, ranOutOfHeap} from './memory.js';
import {RESTART_OPTIONS, type SuperviseOptions, type Supervisor} from './options.js';
import {type Plan, readPlan, sealPlan} from './plan.js';
import {planOf, withListeners} from './plan-of.js';
import {isBelow, membersOf, openDescriptors, signal} from './processes.js';
import {ProgramFiles} from './program-files.js';
import {Reaper} from './reaper.js';
import {readStack} from './stack.js';
import {
  type Ahead,
  type Effect,
  type Event,
  initialState,
  keepersOf,
  type Life,
  type Outcome,
  type State,
  type Timer,
  whyNotRenewed,
} from './state.js';

const PROBATION_MS = 5_000;
/** What a keeper may take to count. */
const COUNT_MS = 2_500;
/** So long a restart waits for a generation that boots, for a second keeper, or for another restart. */
const READY_MS = 10_000;
/** How often it is looked for a keeper that is about to speak. */
const EXPECTED_MS = 20;
/** For want of descriptors, the channels wait for so long before it is tried again to hand them over. */
const HAND_MS = 200;
/** In this time a keeper that has been cloned has said so. */
const SPEAK_MS = 1_000;
/** How often it is looked whether the run folder is still there. */
const FOLDER_MS = 5_000;

/** What exec says of a program that is not there, or is none (man 2 execve). */
const MISSING: ReadonlySet<string> = new Set(['ENOENT', 'EACCES', 'ENOEXEC', 'ENOTDIR', 'EPERM']);

const nowMs = (): number => Number(process.hrtime.bigint() / 1000n) / 1000;

/** Carries out what the machine decides, and reports to it what happens. */
export class ProcessSupervisor implements Supervisor {
  readonly name: string;
  readonly pid = process.pid;
  readonly ready: Promise<void>;
  readonly done: Promise<{exitCode: number; reason: string}>;
  readonly #state: State;
  readonly #dir: RunDir;
  readonly #log: (line: string) => void;
  readonly #flushLog: () => void;
  readonly #options: SuperviseOptions;
  #command: readonly string[];
  #plan: Plan;
  /** What a restart is to bring, and what it brought. */
  #newPlan: Plan | undefined;
  #formerPlan: Plan | undefined;
  /** The program is one that has been there before, and has come back. */
  #comesBack = false;
  #deployed: ((outcome: Outcome) => void) | undefined;
  readonly #thresholdMs: number;
  readonly #events: Event[] = [];
  #isStepping = false;
  readonly #timers = new Map<Timer, NodeJS.Timeout>();
  /** The links of generations to here, of those that were started in advance, too. */
  readonly #members = new Map<number, Link>();
  /** The links that their first keepers were given. */
  readonly #firsts = new Map<number, Link>();
  readonly #keepers = new Map<number, Link>();
  /** Links on their way to keepers that are to be cloned, and by whom. */
  readonly #given = new Map<Link, {keeper: number; of: number}>();
  /** Questions under way, and who was asked. */
  readonly #counts = new Map<number, {keeper: number; answer: (channels: number | undefined) => void}>();
  #counted = 0;
  /** Of this cgroup, when the generation was started. */
  #oomKills = oomKills();
  readonly #reaper = new Reaper(
    pid => this.#keepers.has(pid) || this.#lives().some(({root, member}) => pid === root || pid === member),
  );
  #finish!: (end: {exitCode: number; reason: string}) => void;
  #becomeReady!: () => void;
  #door: Door | undefined;
  #server: Server | undefined;
  #folderTimer: NodeJS.Timeout | undefined;
  #unmanageable = '';
  readonly #unlock: () => void;
  readonly #listeners: Int32Array;

  constructor(options: SuperviseOptions, plan: Plan, dir: RunDir, unlock: () => void) {
    this.name = options.name;
    this.#dir = dir;
    this.#unlock = unlock;
    this.#listeners = Int32Array.from(options.listeners ?? []);
    // From here on: who connects before the service is there is a channel, too.
    for (const fd of this.#listeners) native().mark(fd);
    this.#thresholdMs = options.thresholdMs ?? 60_000;
    this.#state = initialState({
      thresholdMs: this.#thresholdMs,
      patienceMs: options.patienceMs ?? 60_000,
      hangMs: options.hangMs ?? 0,
      aging: options.aging ?? {},
      standby: options.standby ?? false,
    });
    const log = new Log(dir);
    const worker = options.childId ? `worker ${options.childId}: ` : '';
    const tell = options.log ?? ((line: string) => say(`${worker}${line}`, {service: this.name}));
    this.#log = line => {
      tell(line);
      log.write(line);
    };
    this.#flushLog = () => log.flush();
    this.#options = options;
    this.#command = options.command;
    this.#plan = plan;
    this.ready = new Promise(resolve => {
      this.#becomeReady = resolve;
    });
    this.done = new Promise(resolve => {
      this.#finish = resolve;
    });
  }

  /** @throws ShimError SPAWN_FAILED: the first generation cannot be started */
  async start(): Promise<void> {
    native().becomeSubreaper();
    this.#reaper.start();
    const orphan = await adoptOrphan(this.#dir);
    await this.#keepFolder();
    // It also keeps this process alive in an instant in which every process of the family is dead.
    this.#folderTimer = setInterval(() => {
      this.#keepFolder();
      this.#lookAtFiles();
    }, FOLDER_MS);
    if (orphan) this.#adopt(orphan);
    else this.#happened({type: 'start'});
    if (this.#state.life) return;
    this.#end();
    throw new ShimError('SPAWN_FAILED', this.#unspawned, this.#unspawnedErrno);
  }

  // --- the machine ----------------------------------------------------------------------------------------------

  /** An effect may make further events: they wait for their turn. */
  #happened(event: Event): void {
    this.#events.push(event);
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        for (const effect of step(this.#state, next, nowMs())) this.#carryOut(effect);
      }
    } finally {
      this.#isStepping = false;
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case 'spawn':
        this.#spawn(effect.number, effect.as, effect.diesWithSupervisor);
        return;
      case 'twin': {
        const {keeper, of} = effect;
        this.#giveLink(
          of,
          keeper,
          link => this.#tell(keeper, {kind: Kind.Twin}, link),
          error => this.#happened({type: 'twinned', by: keeper, error}),
        );
        return;
      }
      case 'keep':
        this.#giveLink(
          effect.of,
          0,
          link => this.#say(effect.of, {kind: Kind.Keep}, link),
          error => this.#happened({type: 'cloned', generation: effect.of, error}),
        );
        return;
      case 'freeze':
        this.#tell(effect.keeper, {kind: Kind.Freeze, sequence: effect.sequence});
        return;
      case 'serve':
        this.#serve(effect.keeper, effect.to);
        return;
      case 'nothing to take over':
        this.#say(effect.to, {kind: Kind.Nothing});
        return;
      case 'lead':
        this.#say(effect.to, {kind: Kind.Keeper, pid: effect.keeper});
        return;
      case 'watch':
        this.#say(effect.to, {kind: Kind.Watch, value: Math.round(effect.everyMs), extra: effect.hangMs});
        return;
      case 'renew':
        this.#say(effect.to, {kind: Kind.Renew});
        return;
      case 'turn':
        this.#say(effect.to, {kind: Kind.Turn, value: this.#comesBack ? 1 : 0});
        this.#begins(effect.to, effect.root, effect.at);
        if (effect.as === 'standby') return;
        this.#formerPlan = this.#plan;
        this.#plan = this.#newPlan!;
        return;
      case 'roll back':
        this.#plan = this.#formerPlan!;
        this.#comesBack = true;
        return;
      case 'restarted':
        this.#newPlan = this.#formerPlan = undefined;
        this.#deployed?.(effect.outcome);
        return;
      case 'leave':
        this.#tell(effect.keeper, {kind: Kind.Leave});
        return;
      case 'kill':
        signal(effect.pid, 'SIGKILL');
        return;
      case 'terminate':
        signal(-effect.root, 'SIGTERM');
        return;
      case 'sweep':
        for (const pid of membersOf(effect.root)) signal(pid, 'SIGKILL');
        return;
      case 'set timer':
        clearTimeout(this.#timers.get(effect.timer));
        this.#timers.set(
          effect.timer,
          setTimeout(() => this.#happened({type: 'timer', timer: effect.timer}), effect.ms),
        );
        return;
      case 'clear timer':
        clearTimeout(this.#timers.get(effect.timer));
        this.#timers.delete(effect.timer);
        return;
      case 'log':
        this.#log(effect.line);
        return;
      case 'finish':
        this.#end();
        this.#finish({exitCode: effect.exitCode, reason: effect.reason});
    }
  }

  #end(): void {
    clearInterval(this.#folderTimer);
    this.#reaper.stop();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const link of this.#members.values()) link.close();
    for (const link of this.#keepers.values()) link.close();
    this.#door?.close();
    this.#server?.close();
    this.#flushLog(); // who follows it has it open
    removeRunDir(this.#dir);
    this.#unlock();
  }

  /** Its history comes with it, and who it is; how it ends, the kernel tells its parent alone. */
  #adopt({note, keeper}: Orphan): void {
    const {faults, faultCount} = readHistory(this.#dir);
    for (const record of faults) this.#state.faults.push({record, endedMs: 0});
    this.#state.faultCount = faultCount;
    const {pid, startedAt: at} = note;
    const number = keeper?.keeping.generation ?? note.generation;
    this.#reaper.sessions.add(pid);
    this.#happened({type: 'adopted', number, pid, at, hasKeeper: keeper !== undefined});
    this.#becomeReady();
    const pidfd = native().pidfdOpen(pid);
    if (pidfd >= 0) this.#watch(pid, pidfd);
    else this.#happened({type: 'ended', pid, status: 'gone'});
    if (!keeper) return;
    const {link, keeping} = keeper;
    this.#sendPlan(link);
    this.#onKeeping(keeping.senderPid, link, keeping);
    this.#hear(link, keeping.senderPid, number);
  }

  // --- generations ----------------------------------------------------------------------------------------------

  #unspawned = '';
  #unspawnedErrno: string | undefined;

  #spawn(number: number, as: Ahead | 'life', diesWithSupervisor: boolean): void {
    const plan = as === 'candidate' ? this.#newPlan! : this.#plan;
    const {file, argv, envp} = plan;
    let pairs: [{ours: number; theirs: number}, {ours: number; theirs: number}];
    try {
      pairs = [makePair(), makePair()];
    } catch (error) {
      this.#happened({type: 'unspawned', number, as, why: (error as Error).message});
      return;
    }
    const [link, keeperLink] = pairs;
    // Where there is something to take over, the sockets are among it.
    const isAlone = as === 'life' && this.#state.source === undefined;
    const listeners = isAlone ? this.#listeners : new Int32Array(0);
    const birth = birthVariable({
      generation: number,
      supervisor: process.pid,
      link: link.theirs,
      keeperLink: keeperLink.theirs,
      listeners: listeners.length,
      isAhead: as !== 'life',
    });
    const {error, pid, pidfd} = native().spawn(
      file,
      argv,
      [
        ...withListeners(envp, listeners.length),
        birth,
        ...(this.#comesBack && as !== 'candidate' ? ['ZLR_COMES_BACK=1'] : []),
      ],
      link.theirs,
      keeperLink.theirs,
      diesWithSupervisor,
      listeners,
    );
    native().close(link.theirs);
    native().close(keeperLink.theirs);
    if (error < 0) {
      native().close(link.ours);
      native().close(keeperLink.ours);
      const name = errnoName(error);
      const advice = MISSING.has(name) ? '; is it installed and executable?' : '';
      this.#unspawned = `cannot start ${file}: ${name}${advice}`;
      this.#unspawnedErrno = name;
      if (number > 1) this.#happened({type: 'unspawned', number, as, why: this.#unspawned});
      return;
    }
    this.#reaper.sessions.add(pid);
    const at = new Date().toISOString();
    this.#happened({type: 'spawned', number, as, pid, at});
    if (as === 'life') this.#begins(number, pid, at);
    if (as === 'standby') this.#standbyFiles = {number, files: new ProgramFiles(argv)};
    this.#watch(pid, pidfd);
    this.#listenToMember(number, new Link(link.ours));
    const first = new Link(keeperLink.ours);
    this.#firsts.set(number, first);
    this.#sendPlan(first, plan);
    this.#hear(first, 0, number);
  }

  /** What a standby was started of. */
  #standbyFiles: {number: number; files: ProgramFiles} | undefined;

  async #lookAtFiles(): Promise<void> {
    const looked = this.#standbyFiles;
    if (!looked || this.#state.standby?.number !== looked.number || !(await looked.files.haveChanged()))
      return;
    if (this.#state.standby?.number === looked.number) this.#happened({type: 'stale'});
  }

  /** It is the service from here on. */
  #begins(number: number, root: number, startedAt: string): void {
    const {standby, candidate} = this.#state;
    const wanted = [number, standby?.number, candidate?.number];
    for (const [former, link] of this.#members) {
      if (wanted.includes(former)) continue;
      link.close();
      this.#members.delete(former);
      this.#firsts.delete(former);
    }
    this.#oomKills = oomKills();
    // Behind what clients wait for.
    setImmediate(() =>
      this.#leaveNote({pid: root, generation: number, startedAt, startTicks: startTicks(root) ?? 0}),
    );
  }

  #watch(pid: number, pidfd: number): void {
    native().onExit(
      pidfd,
      () => {
        const {error, signaled, number} = native().reap(pid);
        const status: WaitStatus | 'gone' = error < 0 ? 'gone' : waitStatus(signaled !== 0, number);
        const outOfMemory =
          ranOutOfHeap(this.#dir.path, pid) ||
          (signaled !== 0 && number === constants.signals.SIGKILL && oomKills() > this.#oomKills);
        this.#happened({type: 'ended', pid, status, outOfMemory});
      },
      true,
    );
  }

  #lives(): Life[] {
    const {life, standby, candidate} = this.#state;
    return [life, standby, candidate].filter(each => each !== undefined);
  }

  #say(to: number, word: Parameters<Link['send']>[0], fd = -1): boolean {
    return this.#members.get(to)?.send(word, fd) ?? false;
  }

  #listenToMember(number: number, link: Link): void {
    this.#members.set(number, link);
    link.listen(
      closing(word => {
        if (this.#members.get(number) === link) this.#onMemberWord(number, word);
      }),
      () => {},
      false,
    );
  }

  /** @param generation whose link it came by; what the word says of it is not believed */
  #onMemberWord(generation: number, word: Received): void {
    const {senderPid: pid} = word;
    switch (word.kind) {
      case Kind.Replan:
        this.#replan(word);
        return;
      case Kind.Member:
        this.#join(generation, pid);
        if (word.value !== 0) this.#happened({type: 'cloned', generation, error: errnoName(-word.value)});
        return;
      case Kind.Standing:
        this.#happened({type: 'standing', generation, pid});
        return;
      case Kind.Registered:
        this.#happened({type: 'registered', generation, pid});
        this.#becomeReady();
        return;
      case Kind.Beat: {
        const {aging} = this.#state.limits;
        const hasLimit = aging.descriptors !== undefined || aging.descriptorsPerHour !== undefined;
        const descriptors = hasLimit ? openDescriptors(pid) : undefined;
        const health = {rssBytes: word.value, heapBytes: word.extra, delayMs: word.flags, descriptors};
        this.#happened({type: 'beat', generation, pid, health});
        return;
      }
      case Kind.Stack:
        this.#happened({type: 'stack', generation, pid, frames: readStack(word.fd)});
        return;
      case Kind.Claim:
        this.#happened({type: 'claim', generation, pid});
        return;
      case Kind.Claimed:
        this.#happened({type: 'claimed', generation, pid, channels: word.value});
        return;
      case Kind.Blamed:
        this.#happened({type: 'blamed', generation});
        return;
      case Kind.Served:
        this.#happened({type: 'served', generation, atMs: word.value / 1e6});
        return;
      case Kind.Cloned:
        this.#happened({
          type: 'cloned',
          generation,
          error: word.value === 0 ? undefined : errnoName(-word.value),
        });
        return;
    }
  }

  /** A process that gave up its privileges cannot say what is executed with them. */
  #replan(word: Received): void {
    if (word.fd < 0) return;
    const plan = readPlan(word.fd);
    if (word.senderUid !== process.getuid!() && word.senderUid !== 0) {
      this.#log(
        `generation ${word.generation} (pid ${word.senderPid}) runs as uid ${word.senderUid} and cannot change what uid ` +
          `${process.getuid!()} starts: its reregist() came too late, the plan stays`,
      );
      return;
    }
    if (!plan) return;
    this.#plan = plan;
    for (const link of this.#keepers.values()) this.#sendPlan(link);
  }

  // --- keepers --------------------------------------------------------------------------------------------------

  #sendPlan(link: Link, plan = this.#plan): void {
    const sealed = sealPlan(plan);
    link.send({kind: Kind.Plan, value: this.#thresholdMs}, sealed);
    native().close(sealed);
  }

  /** A new program's keepers start that, and none before its turn comes. */
  #planOf(generation: number): Plan {
    return generation === this.#state.candidate?.number ? this.#newPlan! : this.#plan;
  }

  #tell(keeper: number, word: Parameters<Link['send']>[0], fd = -1): boolean {
    signal(keeper, 'SIGCONT'); // whoever stopped it did not know what it is
    return this.#keepers.get(keeper)?.send(word, fd) ?? false;
  }

  /** Makes a link for a keeper that is to be cloned, and has one end given to whoever clones it. */
  #giveLink(
    of: number,
    keeper: number,
    give: (link: number) => boolean,
    failed: (error: string) => void,
  ): void {
    try {
      const pair = makePair();
      const link = new Link(pair.ours);
      give(pair.theirs);
      native().close(pair.theirs);
      this.#hear(link, 0, of);
      this.#sendPlan(link, this.#planOf(of));
      if (keeper !== 0) this.#given.set(link, {keeper, of});
    } catch (error) {
      if (!(error instanceof ShimError)) throw error;
      this.#happened({type: 'link lost', of});
      failed(error.message);
    }
  }

  /** @param keeper who is at the other end; 0: it has not said so yet */
  #hear(link: Link, keeper: number, of: number): void {
    link.listen(
      closing(word => {
        if (word.kind !== Kind.Keeping) {
          this.#onKeeperWord(keeper, word);
          return;
        }
        if (keeper !== 0) return;
        keeper = word.senderPid;
        this.#onKeeping(keeper, link, word);
      }),
      () => {
        this.#given.delete(link);
        if (keeper === 0) this.#happened({type: 'link lost', of});
        else this.#happened({type: 'deaf', pid: keeper});
      },
      false,
    );
  }

  #onKeeping(pid: number, link: Link, word: Received): void {
    this.#keepers.set(pid, link);
    this.#given.delete(link);
    const pidfd = native().pidfdOpen(pid);
    const gone = (): void => {
      native().reap(pid); // not a child of this process if it was cloned below another supervisor: then it is reaped there
      link.close();
      this.#keepers.delete(pid);
      this.#happened({type: 'keeper died', pid});
      for (const {keeper, answer} of [...this.#counts.values()]) if (keeper === pid) answer(undefined);
      for (const [given, {keeper}] of this.#given) if (keeper === pid) this.#doubt(given);
    };
    this.#happened({type: 'keeping', pid, of: word.generation, isTwin: word.extra !== 0});
    if (pidfd < 0) gone();
    else native().onExit(pidfd, gone, true);
  }

  /**
   * Whoever was to clone a keeper is dead. If it had done so, that one speaks soon. Otherwise nobody will: the table that the dead
   * one shared may keep the other end open for as long as the service lives, so its closing is not to be waited for.
   */
  #doubt(link: Link): void {
    setTimeout(() => {
      const given = this.#given.get(link);
      if (!given || !link.isOpen) return;
      this.#given.delete(link);
      link.send({kind: Kind.Leave}); // should one come after all
      link.close();
      this.#happened({type: 'link lost', of: given.of});
    }, SPEAK_MS);
  }

  #onKeeperWord(pid: number, word: Received): void {
    switch (word.kind) {
      case Kind.Twinned:
        this.#happened({
          type: 'twinned',
          by: pid,
          error: word.value === 0 ? undefined : errnoName(-word.value),
        });
        return;
      case Kind.Frozen:
        this.#happened({
          type: 'frozen',
          pid,
          sequence: word.sequence,
          channels: word.value,
          inCharge: (word.flags & IN_CHARGE) !== 0,
          orderly: (word.flags & ORDERLY) !== 0,
        });
        return;
      case Kind.Counted:
        this.#counts.get(word.sequence)?.answer(word.value);
        return;
    }
  }

  /** The keeper and the next generation each get an end. */
  #serve(keeper: number, to: number): void {
    let pair: ReturnType<typeof makePair>;
    try {
      pair = makePair();
    } catch (error) {
      if (!(error instanceof ShimError)) throw error;
      this.#log(`the channels cannot be handed over yet: ${error.message}; trying again`);
      setTimeout(() => this.#serve(keeper, to), HAND_MS);
      return;
    }
    this.#tell(keeper, {kind: Kind.Serve}, pair.ours);
    this.#say(to, {kind: Kind.Hand}, pair.theirs);
    native().close(pair.ours);
    native().close(pair.theirs);
  }

  // --- management -----------------------------------------------------------------------------------------------

  /** The folder helps people and commands to find this service. Without it, it goes on, and the log says so once. */
  async #keepFolder(): Promise<void> {
    try {
      if (this.#door && this.#server && isThere(this.#dir)) return;
      this.#door?.close();
      this.#server?.close();
      this.#door = this.#server = undefined;
      makeRunDir(this.name);
      for (const path of [this.#dir.control, this.#dir.door]) rmSync(path, {force: true});
      this.#door = new Door(this.#dir.door, (link, pid, uid) => this.#onGuest(link, pid, uid));
      this.#server = await serveCommands(this.#dir.control, this);
      if (this.#unmanageable !== '') this.#log(`the run folder ${this.#dir.path} is back`);
      this.#unmanageable = '';
    } catch (error) {
      this.#complain((error as Error).message);
    }
  }

  /** For whoever looks after the service when this process has died. */
  #leaveNote(note: ServiceNote): void {
    try {
      writeServiceNote(this.#dir.path, note);
      const {faults, faultCount} = this.#state;
      writeHistory(this.#dir, {faults: faults.map(({record}) => record), faultCount});
    } catch (error) {
      this.#complain((error as Error).message);
    }
  }

  #complain(why: string): void {
    if (this.#unmanageable === '') {
      this.#log(
        `the service runs, but \`zlr status\` and \`zlr stop\` may not find it: ${why}; trying again every ${FOLDER_MS / 1000} s`,
      );
    }
    this.#unmanageable = why;
  }

  /** The service itself speaks; it may stand below the process that was started. */
  #join(generation: number, pid: number): void {
    const it = this.#lives().find(({number}) => number === generation);
    const isNew = it?.member === 0;
    this.#happened({type: 'member', generation, pid});
    if (!isNew || pid === it!.root) return;
    const pidfd = native().pidfdOpen(pid);
    if (pidfd >= 0) this.#watch(pid, pidfd);
    else this.#happened({type: 'ended', pid, status: 'gone'});
  }

  /** A process of the family whose links some program in between did not pass on. */
  #onGuest(link: Link, pid: number, uid: number): void {
    const {life} = this.#state;
    const it = this.#lives().find(({root, member}) => pid === member || isBelow(pid, root)) ?? life;
    const isOurs =
      it && (uid === process.getuid!() || uid === 0) && (pid === it.member || isBelow(pid, process.pid));
    if (!isOurs || (it.member !== 0 && it.member !== pid)) {
      link.close();
      return;
    }
    const isNew = it.member === 0;
    this.#members.get(it.number)?.close();
    this.#listenToMember(it.number, link);
    if (!isNew) return;
    this.#join(it.number, pid);
    this.#firsts.get(it.number)?.close(); // nobody will speak on it
    this.#happened({type: 'link lost', of: it.number});
  }

  async status(): Promise<Status> {
    const channels = await this.#countChannels();
    const {life, standby, faults, faultCount} = this.#state;
    return {
      name: this.name,
      supervisorPid: this.pid,
      generation: life?.number ?? 0,
      pid: life?.member || (life?.root ?? 0),
      keepers: keepersOf(this.#state, life?.number).map(({pid}) => pid),
      startedAt: life?.startedAt ?? new Date().toISOString(),
      standby: standby
        ? {
            generation: standby.number,
            pid: standby.member || standby.root,
            isReady: standby.reached.standing !== undefined,
          }
        : null,
      health: life?.health
        ? {
            rssBytes: life.health.rssBytes,
            heapBytes: life.health.heapBytes,
            delayMs: life.health.delayMs,
          }
        : null,
      channels,
      faults: faults.map(({record}) => record),
      faultCount,
    };
  }

  /** Of the first keeper that can say it. */
  async #countChannels(): Promise<number> {
    for (const until = nowMs() + COUNT_MS; nowMs() < until; ) {
      const {life, source, expected} = this.#state;
      // Those of the former generation leave when the channels are handed over, of which the word may still be on its way.
      const [keeper] = [source, life?.number].flatMap(number => keepersOf(this.#state, number));
      const count = keeper && (await this.#askForCount(keeper.pid, until - nowMs()));
      if (count !== undefined) return count;
      if (!keeper && expected.size === 0) return 0;
      if (!keeper) await delay(EXPECTED_MS); // one that stands already is about to speak
    }
    return 0;
  }

  /** Undefined: it has died meanwhile, or does not say. */
  #askForCount(keeper: number, ms: number): Promise<number | undefined> {
    const sequence = ++this.#counted;
    return new Promise(resolve => {
      const answer = (channels: number | undefined): void => {
        clearTimeout(timer);
        this.#counts.delete(sequence);
        resolve(channels);
      };
      const timer = setTimeout(answer, ms, undefined);
      this.#counts.set(sequence, {keeper, answer});
      this.#tell(keeper, {kind: Kind.Count, sequence});
    });
  }

  async restart(options: RestartOptions = {}): Promise<Restarted> {
    assertFits('restart', options, RESTART_OPTIONS);
    const {command, probationMs = PROBATION_MS} = options;
    if (command?.length === 0) throw new ShimError('COMMAND_EMPTY', 'there is no command to go on with');
    const began = nowMs();
    for (let why = whyNotRenewed(this.#state); why !== undefined; why = whyNotRenewed(this.#state)) {
      if (nowMs() - began > READY_MS)
        throw new ShimError('NOT_READY', `'${this.name}' cannot be restarted now: ${why}; try again later`);
      await delay(EXPECTED_MS);
    }
    this.#newPlan = planOf({...this.#options, command: command ?? this.#command}, this.#dir);
    this.#comesBack = false;
    const former = this.#command;
    this.#command = command ?? former;
    const outcome = await new Promise<Outcome>(resolve => {
      this.#deployed = resolve;
      this.#happened({type: 'restart', probationMs});
    });
    const {life, faults} = this.#state;
    if (outcome.went === 'wrong') {
      this.#command = former;
      const now = outcome.tookOver
        ? 'the former program comes back'
        : this.#state.stopping
          ? 'it ends'
          : life && this.#state.phase === 'living'
            ? `generation ${life.number} (pid ${life.member}) has gone on`
            : 'the former program goes on';
      throw new ShimError('RESTART_FAILED', `'${this.name}' was not restarted: ${outcome.why}; ${now}`);
    }
    const {channels} = faults.find(({record}) => record.generation === life!.follows)!.record;
    const tookMs = Math.round(nowMs() - began);
    return {generation: life!.number, pid: life!.member, channels, tookMs, steps: outcome.steps};
  }

  async stop(): Promise<void> {
    this.#happened({type: 'stop'});
    await this.done;
  }
}

/** What comes with a word is closed when the word was heard, whatever it was: a service must not fill this process' table. */
function closing(hear: (word: Received) => void): (word: Received) => void {
  return word => {
    try {
      hear(word);
    } finally {
      if (word.fd >= 0) native().close(word.fd);
    }
  };
}
