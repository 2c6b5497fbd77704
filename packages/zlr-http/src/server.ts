import {
  ChannelLoop,
  channelStore,
  type FileRange,
  type Inheritance,
  LARGE,
  type Piece,
  type Protocol,
  rehearse,
} from '@zlr/hread';
import {endOrderly, generation, isSupervised, reregist} from '@zlr/kernel-shim';
import {complaint, native, systemText, text} from '@zlr/kernel-shim/internal';
import {
  type Connection,
  type ConnectionRecord,
  type ConnectionStore,
  exchange,
  openConnections,
  rehearsalConnections,
} from './connection.js';
import {HttpError} from './errors.js';
import {type OpenedFile, StaticFiles} from './files/static-files.js';
import {pathFor, planStatic} from './files/static-plan.js';
import {BODY_DATA, BODY_DONE, BODY_MORE, BodyReader} from './message/body.js';
import {COMPLETE, INCOMPLETE, parseRequest} from './message/request.js';
import {NO_BODY, RequestHead} from './message/request-head.js';
import {MAX_RESPONSE, planPage, ResponsePlan, writeResponse} from './message/response.js';

/** Recovery, in numbers. */
export interface Recovered {
  recovered: number;
  adopted: number;
  dropped: number;
  /** Recovered connections by the stage in which the fault met them. */
  stages: Record<'reading' | 'processing' | 'sending', number>;
}

/** A quiet connection is ended after so long; nginx' keepalive_timeout. */
const IDLE_SECONDS = 75;
/** What answers on their way may take when the server is to end. */
const DRAIN_SECONDS = 10;
/** Of a request's body, which a static file has no use for; more is refused. */
const BODY_MAX = 1024 * 1024;
/** A request must be whole so soon after its first byte; nginx' client_header_timeout. */
const HEAD_SECONDS = 60;
/** Room for any head but that of a redirect, whose Location may be long. */
const PLAIN_HEAD_MAX = 1024;
/** Longer contents are put into the queue without a copy in between. */
const COPIED_MAX = 1024;
/** Pipelined requests that are answered in one turn: the others wait for theirs. */
const A_TURN = 32;

/** An HTTP/1.1 server for the files of a folder, whose connections outlive its process. */
export class StaticServer implements Protocol<ConnectionRecord> {
  readonly #store: ConnectionStore;
  readonly #files: StaticFiles;
  readonly #loop: ChannelLoop<ConnectionRecord>;
  readonly #memory: Buffer;
  readonly #head = new RequestHead();
  readonly #plan = new ResponsePlan();
  readonly #body = new BodyReader();
  #nowSeconds = Math.floor(Date.now() / 1000);

  /**
   * Serves a client in this process, in a standby before its turn, so that what runs in its first moments runs as fast as it does later.
   * What it serves is `root`'s, and nobody else's to see.
   */
  static async rehearse({root, name}: {root: string; name: string}): Promise<void> {
    const store = await rehearsalConnections(name);
    const files = new StaticFiles(root, true);
    try {
      const serve = (inheritance: Inheritance): ChannelLoop<ConnectionRecord> =>
        new StaticServer(store, files, inheritance).#loop;
      await rehearse(serve, 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    } finally {
      files.close();
      store.close();
    }
  }

  private constructor(store: ConnectionStore, files: StaticFiles, inheritance?: Inheritance) {
    this.#store = store;
    this.#files = files;
    this.#memory = store.root.zlrPool;
    const limits = {
      idleSeconds: IDLE_SECONDS,
      unitSeconds: HEAD_SECONDS,
      mostHeld: LARGE, // so that a head lies in one piece
      mostOutput: LARGE,
      inTurn: true,
    };
    this.#loop = new ChannelLoop(channelStore<ConnectionRecord>(store), this, limits, inheritance);
  }

  /** Opens the folder and the state. @throws HttpError OPTION_INVALID, ROOT_UNUSABLE; StoreError */
  static async open(options: {root: string; name: string}): Promise<StaticServer> {
    const wrong = complaint('StaticServer.open', options, {root: systemText, name: text});
    if (wrong !== undefined) throw new HttpError('OPTION_INVALID', wrong);
    // First: when it fails, there is nothing to be removed. A later generation has connections that need no folder.
    const files = new StaticFiles(options.root, generation() > 1);
    return new StaticServer(await openConnections(options.name), files);
  }

  /** Becomes restartable (under a supervisor), and goes on with what a former generation left. */
  recover(): Recovered {
    reregist();
    const atStages = exchange.census(this.#store.root.zlrChannels);
    const {recovered, adopted, dropped} = this.#loop.recover();
    return {recovered, adopted, dropped: dropped.length, stages: atStages};
  }

  async listen(host: string, port: number): Promise<{address: string; port: number}> {
    return this.#loop.listen({host, port});
  }

  /** Ends in good order: no new connections, answers on their way finish (10 s at most), the state is removed. */
  async close(): Promise<void> {
    await this.#loop.drain(DRAIN_SECONDS);
    this.#loop.destroy();
    this.#files.close();
    this.#store.destroy();
    if (isSupervised()) endOrderly();
  }

  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  // --- protocol ---------------------------------------------------------------------------------------------------

  input(connection: Connection): void {
    const {record} = connection;
    if (record.bodyPhase !== 0 && !this.#discardBody(connection)) return;
    if (connection.held === 0) return;

    const {start, end} = this.#loop.span(connection);
    let at = start;
    let close = false;
    let file: OpenedFile | undefined;
    let total = 0;
    this.#length = 0;
    this.#pieces.length = 0;
    this.#nowSeconds = Math.floor(Date.now() / 1000);
    this.#body.phase = 0;
    this.#range = undefined;
    // Pipelined requests are answered together, as far as there is room for their answers and nobody else waits too long.
    for (let count = 0; count < A_TURN && at < end; count++) {
      if (this.#range !== undefined || close || this.#body.phase !== 0) break;
      const status = parseRequest(this.#memory, at, end, this.#head);
      if (status === INCOMPLETE) break;
      if (count === 0) exchange.enter(record, 'processing');
      file = status === COMPLETE ? this.#planRequest() : undefined;
      if (status !== COMPLETE) planPage(this.#plan, this.#head, status);
      const plan = this.#plan;
      const need = plan.location === '' ? PLAIN_HEAD_MAX : MAX_RESPONSE;
      const inline = this.#isInline(file) ? plan.bodyLength : 0;
      if (total > 0 && total + need + inline > LARGE) break; // the next turn's

      if (plan.bodyLength > 0 && inline === 0) {
        const fd = this.#files.openSame(file!);
        if (fd === undefined)
          planPage(plan, this.#head, 503); // replaced this very instant; worth another try
        else
          this.#range = {
            fd,
            offset: plan.bodyOffset,
            length: plan.bodyLength,
            device: file!.device,
            inode: file!.ino,
          };
      }
      if (this.#loop.isDraining) plan.keepAlive = false;
      if (status === COMPLETE) {
        at += this.#head.headLength;
        at = this.#beginBody(at, end);
      } else {
        at = end;
      }
      const from = this.#length;
      this.#length += writeResponse(this.#heads, from, plan, this.#nowSeconds);
      if (inline > 0 && inline <= COPIED_MAX)
        this.#length += file!.content!.copy(
          this.#heads,
          this.#length,
          plan.bodyOffset,
          plan.bodyOffset + inline,
        );
      this.#addHeads(from);
      if (inline > COPIED_MAX)
        this.#pieces.push({bytes: file!.content!, start: plan.bodyOffset, end: plan.bodyOffset + inline});
      total += need + inline;
      close = !plan.keepAlive;
    }
    if (at > start) this.#answer(connection, at - start, close);
  }

  /** The heads of a turn's answers, with what is short. */
  readonly #heads = Buffer.allocUnsafeSlow(2 * LARGE);
  #length = 0;
  /** All of these answers, in order. */
  readonly #pieces: Piece[] = [];
  /** And the part of a file that follows. */
  #range: FileRange | undefined;

  #addHeads(from: number): void {
    const last = this.#pieces.at(-1);
    if (last?.bytes === this.#heads) last.end = this.#length;
    else this.#pieces.push({bytes: this.#heads, start: from, end: this.#length});
  }

  /** A small file is copied into the answer; but while memory is short, it is sent from the disk, which takes none. */
  #isInline(file: OpenedFile | undefined): boolean {
    const {extents} = this.#loop;
    return file?.content !== undefined && extents.freeLarge > extents.largeCount / 2;
  }

  sent(connection: Connection): void {
    // Told again after a fault, when the next request may already be in work.
    if (connection.record.stage === 'sending') exchange.enter(connection.record, 'reading');
  }

  ended(connection: Connection): void {
    this.#loop.close(connection); // what is held is no whole request, and nobody will complete it
  }

  idle(connection: Connection): void {
    if (connection.sending || connection.held === 0) this.#loop.close(connection);
    else this.overdue(connection);
  }

  overdue(connection: Connection): void {
    if (connection.record.bodyPhase !== 0) {
      this.#loop.close(connection); // its request is answered already
      return;
    }
    this.#head.reset(this.#memory);
    planPage(this.#plan, this.#head, 408);
    exchange.enter(connection.record, 'processing');
    this.#length = writeResponse(this.#heads, 0, this.#plan, Math.floor(Date.now() / 1000));
    this.#pieces.length = 0;
    this.#addHeads(0);
    this.#range = undefined;
    this.#body.phase = 0;
    this.#answer(connection, connection.held, true);
  }

  closed(): void {}

  // --- requests ---------------------------------------------------------------------------------------------------

  /** Plans the answer to the parsed request; the file it needs, if it needs one. */
  #planRequest(): OpenedFile | undefined {
    const head = this.#head;
    const plan = this.#plan;
    if (head.contentLength > BODY_MAX) {
      planPage(plan, head, 413);
      return undefined;
    }
    const path = pathFor(plan, head);
    let file: OpenedFile | undefined;
    if (path !== undefined) {
      const found = this.#files.lookUp(path);
      planStatic(plan, head, path, found, this.#nowSeconds);
      if (typeof found !== 'number') file = found;
    }
    // The client waits for a word before it sends the body; after this one it need not send it at all, and then
    // nobody could tell where the next request begins (RFC 9110 10.1.1).
    if (head.expectContinue && head.framing !== NO_BODY) plan.keepAlive = false;
    return file;
  }

  /** Skips what is here of the request's body; where it ends, or the input does. */
  #beginBody(at: number, end: number): number {
    const body = this.#body;
    body.begin(this.#head);
    this.#bodySize = 0;
    if (this.#plan.keepAlive && !this.#skipBody(at, end)) this.#plan.keepAlive = false;
    else if (this.#plan.keepAlive) return body.next;
    body.phase = 0; // the connection ends with this answer, and what follows is thrown away anyhow
    return end;
  }

  #bodySize = 0;

  /** False: the body is malformed or too large. */
  #skipBody(start: number, end: number): boolean {
    const body = this.#body;
    let at = start;
    for (;;) {
      const status = body.read(this.#memory, at, end);
      at = body.next;
      if (status === BODY_DONE || status === BODY_MORE) return true;
      if (status !== BODY_DATA) return false;
      this.#bodySize += body.dataEnd - body.dataStart;
      if (this.#bodySize > BODY_MAX) return false;
    }
  }

  /** Goes on throwing a body away whose request is answered. True when it has ended. */
  #discardBody(connection: Connection): boolean {
    const {record} = connection;
    const body = this.#body;
    body.phase = record.bodyPhase;
    body.overhead = record.bodyOverhead;
    body.remaining = record.bodyRemaining;
    this.#bodySize = record.bodySize;
    const {start, end} = this.#loop.span(connection);
    if (!this.#skipBody(start, end)) {
      this.#loop.close(connection);
      return false;
    }
    this.#loop.transaction(() => {
      this.#recordBody(record);
      this.#loop.consume(connection, body.next - start);
    });
    return body.phase === 0;
  }

  #recordBody(record: ConnectionRecord): void {
    const {phase, overhead, remaining} = this.#body;
    if (phase === 0 && record.bodyPhase === 0) return;
    record.bodyPhase = phase;
    record.bodyOverhead = overhead;
    record.bodyRemaining = remaining;
    record.bodySize = this.#bodySize;
  }

  #answer(connection: Connection, consumed: number, close: boolean): void {
    const {record} = connection;
    const range = this.#range;
    let isHandedOver = false;
    const commit = (): void => {
      exchange.enter(record, 'sending');
      this.#recordBody(record);
      this.#loop.consume(connection, consumed);
      this.#loop.sendPieces(connection, this.#pieces);
      isHandedOver = true;
      if (range) this.#loop.sendFile(connection, range);
      if (close) this.#loop.end(connection);
    };
    try {
      this.#loop.transaction(commit);
    } catch (error) {
      if (range && !isHandedOver) native().close(range.fd);
      throw error;
    }
  }
}
