import {dirname} from 'node:path';
import {setTimeout as delay} from 'node:timers/promises';
import {startTicks, writeServiceNote} from '../control/run-dir.js';
import {errnoName, ShimError} from '../errors.js';
import {Link, makePair, type Received} from '../links/link.js';
import {Kind} from '../links/word.js';
import {native} from '../native.js';
import {say} from '../say.js';
import {type Backend, environmentStrings, type HandedOver, type Registration} from './backend.js';
import {type Birth, readBirth, setComesBack, takeGivenListeners} from './birth.js';
import {reportFatalErrors} from './fatal-report.js';
import {Heartbeat} from './heartbeat.js';
import {ownRegistration} from './own-registration.js';

/** How often a process whose supervisor has died looks whether there is another. */
const REJOIN_MS = 1_000;
/** What cannot be done again may take so long when this process is replaced on purpose. */
const FINISH_MS = 5_000;
const EPIPE = -32;

/** Keepers share this process' file table, a decider (the supervisor, or a keeper in its absence) says what follows. */
class KeeperBackend implements Backend {
  readonly generation: number;
  readonly childId: number;
  keeperPid = 0;
  readonly #birth: Birth;
  #link: Link;
  #isRegistered = false;
  #hasTurn: boolean;
  #isStanding = false;
  /** Of what waits for the turn. */
  readonly #warmings: (() => void | Promise<void>)[] = [];
  #turned: (() => void) | undefined;
  readonly #finishing: (() => Promise<void>)[] = [];
  /** A beat that nobody reads is no loss. */
  readonly #heartbeat = new Heartbeat(({rssBytes, heapBytes, lateMs}) => {
    const {generation} = this;
    native().beat();
    this.#link.send({kind: Kind.Beat, generation, value: rssBytes, extra: heapBytes, flags: lateMs});
  });
  /** What it wants its successors to be started as, if not as it was itself. */
  #registration: Registration | undefined;

  /** Clones the first keeper at once, while there is little memory to clone. */
  constructor(birth: Birth) {
    this.#birth = birth;
    this.generation = birth.generation;
    this.childId = birth.childId;
    this.#hasTurn = !birth.isAhead;
    if (birth.generation === 1) this.#takeCharge();
    if (birth.link >= 0 && birth.keeperLink >= 0) {
      this.#link = new Link(birth.link);
      const error = this.#cloneKeeper(birth.keeperLink);
      this.#link.send({
        kind: Kind.Member,
        generation: this.generation,
        pid: this.keeperPid,
        value: -error,
        extra: this.childId,
      });
    } else {
      this.#link = this.#knock();
      this.#link.send({kind: Kind.Member, generation: this.generation, extra: this.childId});
      this.#until(Kind.Cloned);
    }
    this.#listen();
  }

  // --- its turn -------------------------------------------------------------------------------------------------

  whenStandingBy(warm: () => void | Promise<void>): void {
    this.#warmings.push(warm);
  }

  get standsBy(): boolean {
    return !this.#hasTurn;
  }

  async stand(): Promise<void> {
    if (this.#hasTurn) return;
    await Promise.race([this.turn(), this.#warm()]);
    this.#stand();
  }

  /** What fails costs speed, and nothing else. */
  async #warm(): Promise<void> {
    for (const ended of await Promise.allSettled(this.#warmings.splice(0).map(async warm => warm())))
      if (ended.status === 'rejected')
        say(`generation ${this.generation} could not rehearse, and may be slow at first: ${ended.reason}`);
  }

  async turn(): Promise<void> {
    if (this.#hasTurn) return;
    const turned = new Promise<void>(resolve => {
      const former = this.#turned;
      this.#turned = () => {
        former?.();
        resolve();
      };
    });
    const alive = setInterval(() => {}, 2 ** 30); // nothing else may keep the process alive
    await turned;
    clearInterval(alive);
  }

  #stand(): void {
    if (this.#isStanding || this.#hasTurn) return;
    this.#isStanding = true;
    this.#reportFatalErrors();
    this.#link.send({kind: Kind.Standing, generation: this.generation});
  }

  takeOver(): HandedOver {
    if (this.generation === 1) return {channels: [], files: []};
    this.#stand();
    if (!this.#hasTurn) this.#until(Kind.Turn);
    for (;;) {
      this.#link.send({kind: Kind.Claim, generation: this.generation});
      const word = this.#until(Kind.Hand, Kind.Nothing);
      if (word.kind === Kind.Nothing) {
        this.#takeCharge();
        this.#link.send({kind: Kind.Claimed, generation: this.generation});
        return {channels: [], files: []};
      }
      const {error, channels, files, were} = native().takeOver(word.fd);
      if (error === EPIPE) continue; // the keeper died in between; another one has everything, too
      if (error < 0) {
        const name = errnoName(error);
        const hint = name === 'EMFILE' ? '; raise the limit of open files (ulimit -n)' : '';
        throw new ShimError('SYSTEM_CALL_FAILED', `the channels cannot be taken over: ${name}${hint}`, name);
      }
      this.#link.send({kind: Kind.Claimed, generation: this.generation, value: channels.length});
      return {channels, files: files.map((fd, index) => ({fd, was: were[index]!}))};
    }
  }

  register(registration: Registration | undefined): void {
    if (registration) this.#replan(registration);
    this.#isRegistered = true;
    this.#link.send({kind: Kind.Registered, generation: this.generation, extra: this.childId});
    // Behind what this generation has to do first: clients may wait for it, and nobody waits for the rest.
    setImmediate(() => {
      this.#reportFatalErrors();
      this.#heartbeat.beat(0);
      setImmediate(() => this.#leaveNote());
    });
  }

  served(): void {
    const value = process.hrtime.bigint();
    this.#link.send({kind: Kind.Served, generation: this.generation, value: Number(value / 1000n) * 1000});
  }

  whenRenewed(finish: () => Promise<void>): void {
    this.#finishing.push(finish);
  }

  blamed(): void {
    this.#link.send({kind: Kind.Blamed, generation: this.generation});
  }

  orderly(): void {
    native().orderly();
  }

  #reports = false;

  #reportFatalErrors(): void {
    if (!this.#reports) reportFatalErrors(dirname(this.#birth.door));
    this.#reports = true;
  }

  // --- keepers --------------------------------------------------------------------------------------------------

  /** 0 or a negative errno. The link becomes the keeper's; it stays open here because the table is shared. */
  #cloneKeeper(link: number): number {
    const {generation, supervisor, orphaned, door} = this.#birth;
    const {error, pid} = native().keeperClone(generation, supervisor, orphaned, link, door);
    if (error < 0) native().close(link);
    this.keeperPid = pid;
    return error;
  }

  #takeCharge(): void {
    const error = native().takeCharge();
    if (error < 0)
      throw new ShimError('KEEPER_FAILED', `no memory for a keeper: ${errnoName(error)}`, errnoName(error));
  }

  // --- the decider ----------------------------------------------------------------------------------------------

  #knock(): Link {
    const {door} = this.#birth;
    const link = native().linkKnock(door);
    if (link >= 0) return new Link(link);
    throw new ShimError(
      'KEEPER_FAILED',
      `the supervisor cannot be reached at ${door}: ${errnoName(link)}; a program between it and this process must pass on ` +
        'the environment',
      errnoName(link),
    );
  }

  #listen(): void {
    this.#link.listen(
      word => {
        // Nobody waits for it any more.
        if (this.#onWord(word) === Kind.Hand && word.fd >= 0) native().close(word.fd);
      },
      () => {
        native().stackAfter(0, -1, this.generation); // the link's number may be another file's from here on
        // Nobody is left who could give it its turn.
        if (!this.#hasTurn) process.kill(process.pid, 'SIGKILL');
        this.#rejoinLater();
      },
      false,
    );
  }

  /** As in a fault, but between two turns: what was begun in this one is done. */
  async #renew(): Promise<void> {
    if (this.#finishing.length > 0) {
      const finished = Promise.allSettled(this.#finishing.map(async finish => finish()));
      await Promise.race([finished, delay(FINISH_MS)]);
    }
    process.kill(process.pid, 'SIGKILL');
  }

  /** Handles what comes until one of these kinds has come. */
  #until(...kinds: number[]): Received {
    for (;;) {
      const word = this.#link.wait();
      if (!word) {
        // Whoever started this process is dead, and somebody else starts another one in its place. Two must not run.
        process.kill(process.pid, 'SIGKILL');
        continue;
      }
      if (kinds.includes(this.#onWord(word))) return word;
    }
  }

  /** What has been done with it. */
  #onWord(word: Received): number {
    switch (word.kind) {
      case Kind.Keep: {
        const error = this.#cloneKeeper(word.fd);
        this.#link.send({kind: Kind.Cloned, pid: this.keeperPid, value: -error});
        return Kind.Cloned;
      }
      case Kind.Keeper:
        this.keeperPid = word.pid;
        return word.kind;
      case Kind.Watch:
        this.#heartbeat.start(word.value);
        this.#link.giveTo(fd => native().stackAfter(word.extra, fd, this.generation));
        return word.kind;
      case Kind.Turn:
        if (word.value !== 0) setComesBack();
        this.#hasTurn = true;
        this.#turned?.();
        return word.kind;
      case Kind.Renew:
        this.#renew();
        return word.kind;
      default:
        return word.kind;
    }
  }

  /**
   * Another supervisor may take the dead one's place, and wants to know who this is. Until then keepers decide, and nobody else sees
   * when both are dead.
   */
  #rejoinLater(): void {
    const timer = setInterval(() => {
      const {older, younger} = native().kept();
      if (startTicks(older) === undefined && startTicks(younger) === undefined) this.#keepAlone();
      const link = native().linkKnock(this.#birth.door);
      if (link < 0) return; // there is none, and nothing is wrong with that
      clearInterval(timer);
      this.#link = new Link(link);
      this.#link.send({
        kind: this.#isRegistered ? Kind.Registered : Kind.Member,
        generation: this.generation,
        pid: this.keeperPid,
        extra: this.childId,
      });
      this.#listen();
    }, REJOIN_MS).unref();
  }

  /** Clones a keeper that starts what this process is: with what it may do itself, and no more. */
  #keepAlone(): void {
    try {
      const {ours, theirs} = makePair();
      const plan = this.#sealPlan(this.#registration ?? ownRegistration(this.childId));
      const link = new Link(ours);
      link.send({kind: Kind.Plan, value: native().kept().thresholdMs}, plan);
      native().close(plan);
      this.#cloneKeeper(theirs);
      link.close();
    } catch (error) {
      if (!(error instanceof ShimError)) throw error;
      say(`this service has no keeper, a fault now would close its channels: ${error.message}`);
    }
  }

  #sealPlan({binPath, argv, envp, childId}: Registration): number {
    const variables = [
      ...environmentStrings(envp),
      `ZLR_DOOR=${this.#birth.door}`,
      `ZLR_CHILD_ID=${childId}`,
    ];
    const plan = native().planSeal(binPath, argv, variables);
    if (plan >= 0) return plan;
    throw new ShimError('KEEPER_FAILED', `no memory for the plan: ${errnoName(plan)}`, errnoName(plan));
  }

  #replan(registration: Registration): void {
    this.#registration = registration;
    const plan = this.#sealPlan(registration);
    this.#link.send({kind: Kind.Replan, generation: this.generation}, plan);
    native().close(plan);
  }

  /** For the time without a supervisor. The service lives without it, too. */
  #leaveNote(): void {
    try {
      writeServiceNote(dirname(this.#birth.door), {
        pid: process.pid,
        generation: this.generation,
        startedAt: new Date(performance.timeOrigin).toISOString(),
        startTicks: startTicks(process.pid)!,
      });
    } catch (error) {
      say(`without a supervisor \`zlr status\` will not find this service: ${error}`);
    }
  }
}

/** Undefined: nobody started this process as a generation. */
export function keeperBackend(): Backend | undefined {
  const birth = readBirth();
  if (birth) takeGivenListeners();
  return birth && new KeeperBackend(birth);
}
