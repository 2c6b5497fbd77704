import type {IncomingMessage, Server, ServerResponse} from 'node:http';
import {Socket} from 'node:net';
import {constants as os} from 'node:os';
import {keepCapsule} from '@zlr/hread';
import {
  childId,
  endOrderly,
  generation,
  getreginfo,
  localAddress,
  reportBlamed,
  reportServed,
  reregist,
  ShimError,
  standsBy,
  turn,
  untilTurn,
  whenRenewed,
} from '@zlr/kernel-shim';
import {errnoName, native, say} from '@zlr/kernel-shim/internal';
import {HttpError} from '../errors.js';
import {Answered} from './exchange-record.js';
import {type House, openHouse, SLOT_SIZE} from './house.js';
import type {AnsweredHow, Policy, Verdict} from './judge.js';
import {
  descriptorOf,
  giveConnection,
  holdBack,
  listenLater,
  listenNow,
  onListen,
  stopReading,
} from './node-server.js';
import {type Inherited, type Left, takeStock} from './recovery.js';
import {selfTest} from './self-test.js';
import {Trials} from './trials.js';

const REFUSAL =
  'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
const POISON = 'HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
const VERBS: Record<Verdict['act'], string> = {
  fresh: 'new',
  idle: 'idle',
  rerun: 'run again',
  refuse: 'answered 503',
  poison: 'set aside',
  finish: 'ended',
  close: 'closed',
  reset: 'reset',
};

/** RFC 9110, 9.2.2; as native/exchange/request.c has them. */
const IDEMPOTENT: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'TRACE']);
/** A connection that ended its output waits at most so long for the peer's end before it is cut. */
const LINGER_MS = 2_000;
/** What answers on their way may take when the program is to end and has no say of its own in it. */
const DRAIN_MS = 10_000;

/** Keeps the connections of this process' HTTP servers alive beyond it. */
export class Keep {
  readonly #name: string;
  readonly #policy: Policy;
  readonly #house: House;
  readonly #inherited: Inherited;
  readonly #byFd = new Map<number, Left>();
  readonly #servers = new Map<number, Server>();
  readonly #unclaimed: Inherited['listeners'];
  readonly #trials: Trials;
  #served = false;

  /** Takes over what a former generation left, and keeps what this one's servers accept. Call it once, before they listen. */
  static async start(name: string, policy: Policy): Promise<Keep> {
    const calls = native(); // first of all: without it nothing can be
    const house = await openHouse(name);
    try {
      const inherited = takeStock(house, getreginfo()?.channels ?? [], policy);
      const {byteOffset, stride, capacity} = house.layout('exchanges');
      const error = calls.exchangeOpen(
        house.memory.subarray(byteOffset, byteOffset + stride * capacity),
        stride,
        house.root.slots,
        SLOT_SIZE,
        inherited.freeRecords,
        inherited.freeSlots,
      );
      const problem = error < 0 ? `its calls cannot be led by: ${errnoName(error)}` : await selfTest();
      if (problem) throw new HttpError('NODE_UNSUITABLE', `Node ${process.version}: ${problem}`);
      return new Keep(name, policy, house, inherited);
    } catch (error) {
      calls.exchangeRestore();
      house.destroy();
      throw error;
    }
  }

  private constructor(name: string, policy: Policy, house: House, inherited: Inherited) {
    this.#name = name;
    this.#policy = policy;
    this.#house = house;
    this.#inherited = inherited;
    this.#unclaimed = [...inherited.listeners];
    this.#trials = new Trials(
      inherited.connections.filter(({verdict}) => verdict.act === 'rerun' && verdict.alone),
      (left, server) => giveConnection(server, left.fd, left.held),
    );
    native().exchangeOnReady(fd => this.#onReady(fd));
    onListen(
      (_, where) => this.#open(where),
      (server, fd) => this.#opened(server, fd),
    );
    this.#endWithProcess();
    whenRenewed(() => this.#untilFinished());
    reregist();
    for (const left of inherited.connections) this.#takeOver(left);
    this.#count();
    if (generation() > 1) say(`${this.#report()}`);
  }

  // --- listening ------------------------------------------------------------------------------------------------------

  #open(where: {address: string | null; port: number; flags: number}): number | undefined {
    const addresses = where.address === null ? ['::', '0.0.0.0'] : [where.address];
    for (const {cookie, asked} of this.#house.root.listeners) {
      if (asked !== where.port) continue;
      const at = this.#unclaimed.findIndex(
        each => each.cookie === cookie && addresses.includes(localAddress(each.fd)!.address),
      );
      if (at >= 0) return this.#unclaimed.splice(at, 1)[0]!.fd;
    }
    if (where.flags !== 0) return undefined;
    for (const address of addresses) {
      const fd = native().socketBind(address, where.port, childId() > 0 ? 1 : 0);
      if (fd < 0) continue;
      this.#house.root.listeners.insert({cookie: native().socketCookie(fd), asked: where.port});
      return fd;
    }
    return undefined; // Node tries itself, and says what is wrong
  }

  #opened(server: Server, fd: number): void {
    this.#servers.set(fd, server);
    this.#trials.guard(server);
    server.prependListener('request', (request, response) => {
      if (this.#mayRunAgain(request)) return;
      this.#unrepeatable.set(response, request);
      response.once('close', () => {
        this.#unrepeatable.delete(response);
        if (this.#unrepeatable.size === 0) this.#finished();
      });
    });
    server.prependListener('connection', socket => {
      const connection = descriptorOf(socket);
      if (connection >= 0) native().exchangeBegin(connection);
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    server.once('close', () => this.#servers.delete(fd));
    process.nextTick(() => {
      for (const left of this.#byFd.values()) this.#advance(left);
      // Whatever each of them waits for, from here on it is served, an idle one too.
      if (!this.#served && generation() > 1) reportServed();
      this.#served = true;
    });
    // Idle connections wait outside of the server, whose own timers would take them for slow ones. It would end them after:
    if (server.keepAliveTimeout > 0) {
      setTimeout(() => {
        for (const left of this.#byFd.values())
          if (left.verdict.act === 'idle' && this.#serverOf(left.fd) === server) this.#drop(left);
      }, server.keepAliveTimeout).unref();
    }
  }

  /** The server whose socket accepted a connection. */
  #serverOf(fd: number): Server | undefined {
    const here = localAddress(fd)!;
    for (const [listener, server] of this.#servers) {
      const there = localAddress(listener);
      if (there?.port === here.port && [here.address, '::', '0.0.0.0'].includes(there.address)) return server;
    }
    return undefined;
  }

  // --- being replaced on purpose ------------------------------------------------------------------------------------

  readonly #sockets = new Set<Socket>();
  /** Answers on their way to requests that may not be run again. */
  readonly #unrepeatable = new Map<ServerResponse, IncomingMessage>();
  #finished = (): void => {};

  #mayRunAgain({method, headers}: IncomingMessage): boolean {
    return (
      this.#policy.rerun === 'all' || IDEMPOTENT.has(method ?? '') || headers['idempotency-key'] !== undefined
    );
  }

  /** Whoever comes now, and what comes now, is served by the next generation. */
  async #untilFinished(): Promise<void> {
    for (const server of this.#servers.values()) holdBack(server);
    const uploading = new Map([...this.#unrepeatable.values()].map(request => [request.socket, request]));
    for (const socket of this.#sockets) {
      const request = uploading.get(socket);
      if (request === undefined || request.complete) stopReading(socket);
      else request.once('end', () => stopReading(socket));
    }
    if (this.#unrepeatable.size > 0)
      await new Promise<void>(resolve => {
        this.#finished = resolve;
      });
  }

  // --- recovery -------------------------------------------------------------------------------------------------------

  #takeOver(left: Left): void {
    const {fd, verdict, record, books} = left;
    if (verdict.act === 'close' || verdict.act === 'reset') {
      native().exchangeClose(fd, verdict.act === 'reset' ? 1 : 0);
      return;
    }
    if (record >= 0) {
      native().exchangeResume(fd, record, books.read, books.written, answeredBy(verdict));
    }
    this.#byFd.set(fd, left);
    this.#advance(left);
  }

  /** Does the next thing that can be done for a connection no server has yet. */
  #advance(left: Left): void {
    const {fd, verdict} = left;
    const owed = native().exchangeFlush(fd);
    if (owed === -os.errno.EAGAIN) {
      native().exchangeWait(fd, 1);
      return;
    }
    if (owed < 0) this.#drop(left);
    else if (verdict.act === 'refuse') this.#part(left, REFUSAL);
    else if (verdict.act === 'poison') this.#setAside(left, verdict);
    else if (verdict.act === 'finish') this.#part(left, '');
    else if (verdict.act === 'idle' && native().exchangePeek(fd) < 0) native().exchangeWait(fd, 0);
    else if (verdict.act === 'idle' && native().exchangePeek(fd) === 0) this.#drop(left);
    else this.#give(left);
  }

  #onReady(fd: number): void {
    const left = this.#byFd.get(fd);
    if (left) this.#advance(left);
  }

  #give(left: Left): void {
    const server = this.#serverOf(left.fd);
    if (!server) return; // it may listen later
    this.#byFd.delete(left.fd);
    this.#run(left, server);
  }

  #run(left: Left, server: Server): void {
    if (this.#trials.takes(left, server, () => this.#run(left, server))) return;
    if (left.verdict.act === 'rerun' && left.verdict.counts) left.countAttempt(false);
    giveConnection(server, left.fd, left.held);
  }

  /** It is kept in a file for whoever is to find out why, and answered, so that no generation works on it again. */
  #setAside(left: Left, {why, begun}: {why: string; begun: boolean}): void {
    const {record: id, books, held} = left;
    try {
      const path = keepCapsule(
        {
          name: this.#name,
          generation: generation(),
          connection: {id, recovered: true, consumed: books.read - held.length, data: null},
          error: {name: 'Fault', message: why},
          program: {argv: process.argv, cwd: process.cwd(), node: process.version},
        },
        held,
      );
      say(`a request was set aside: ${why}; it is kept in ${path}`);
    } catch (error) {
      say(`a request was set aside: ${why}; it could not be kept: ${(error as Error).message}`);
    }
    reportBlamed();
    if (begun) this.#reset(left);
    else this.#part(left, POISON);
  }

  #drop(left: Left): void {
    this.#byFd.delete(left.fd);
    this.#trials.forget(left);
    native().exchangeClose(left.fd, 0);
  }

  #reset(left: Left): void {
    this.#byFd.delete(left.fd);
    native().exchangeClose(left.fd, 1);
  }

  /** Says a last word and ends the connection so that it is heard: what still comes in is thrown away. */
  #part(left: Left, word: string): void {
    this.#byFd.delete(left.fd);
    const socket = new Socket({fd: left.fd, allowHalfOpen: true});
    socket.on('error', () => socket.destroy());
    socket.on('end', () => socket.destroy());
    socket.setTimeout(LINGER_MS, () => socket.destroy());
    socket.end(word);
    socket.resume();
  }

  #count(): void {
    const {root} = this.#house;
    const acts = this.#inherited.connections.map(({verdict}) => verdict);
    const count = (is: (verdict: Verdict) => boolean) => acts.filter(is).length;
    this.#house.transaction(() => {
      root.runAgain += count(verdict => verdict.act === 'rerun' && verdict.counts);
      root.resumed += count(verdict => verdict.act === 'rerun' && verdict.resumes);
      root.refused += count(verdict => verdict.act === 'refuse');
      root.poison += count(verdict => verdict.act === 'poison');
      root.reset += count(verdict => verdict.act === 'reset');
    });
  }

  /** What a human wants to know of a recovery: how many go on and how, and why others do not. */
  #report(): string {
    const counts = new Map<string, number>();
    for (const {verdict} of this.#inherited.connections) {
      const what = 'why' in verdict ? `${VERBS[verdict.act]} (${verdict.why})` : VERBS[verdict.act];
      counts.set(what, (counts.get(what) ?? 0) + 1);
    }
    const text = [...counts].map(([what, count]) => `${count} ${what}`).join(', ');
    return `generation ${generation()} goes on with ${this.#inherited.connections.length} HTTP connections${text && `: ${text}`}`;
  }

  // --- end ------------------------------------------------------------------------------------------------------------

  #endWithProcess(): void {
    let orderly = false;
    process.on('SIGTERM', () => {
      orderly = true;
      endOrderly();
      if (process.listenerCount('SIGTERM') > 1) return; // the program ends itself
      const servers = [...this.#servers.values()];
      let open = servers.length;
      const end = (): never => process.exit(0);
      for (const server of servers) {
        server.close(() => {
          if (--open === 0) end();
        });
        server.closeIdleConnections();
      }
      if (open === 0) end();
      setTimeout(end, DRAIN_MS).unref();
    });
    process.on('exit', code => {
      if (orderly || code === 0 || code === 78) this.#house.destroy();
    });
  }
}

function answeredBy(verdict: Verdict): AnsweredHow {
  if (verdict.act === 'rerun' || verdict.act === 'idle') return verdict.answered;
  const isOurs = verdict.act === 'refuse' || (verdict.act === 'poison' && !verdict.begun);
  return isOurs ? Answered.Anew : Answered.Stands;
}

/** As `Keep.start`; when it cannot be, that is said, and the program runs without. In a standby all of it waits for its turn but the program. */
export async function startKeeping(name: string, policy: Policy): Promise<void> {
  if (!standsBy()) return keep(name, policy);
  // The program is loaded meanwhile: it stands where it would listen. That `keep` fails is told of there.
  listenLater(turn);
  untilTurn()
    .then(() => keep(name, policy))
    .then(listenNow);
}

async function keep(name: string, policy: Policy): Promise<void> {
  try {
    await Keep.start(name, policy);
  } catch (error) {
    say(`this program's HTTP connections are not kept: ${(error as Error).message}`);
    if (error instanceof ShimError && error.code === 'NATIVE_MISSING') return;
    for (const fd of getreginfo()?.channels ?? []) native().close(fd);
    reregist(); // it is started again all the same
  }
}
