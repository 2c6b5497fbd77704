import {type ChildProcessByStdio, execFile, execFileSync, spawn} from 'node:child_process';
import {randomBytes} from 'node:crypto';
import {once} from 'node:events';
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Readable} from 'node:stream';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';
import {Client} from '../../../hread/test/helpers/client.js';
import {Supervised} from '../../../hread/test/helpers/supervised.js';

export const serveMain = fileURLToPath(import.meta.resolve('@zlr/http/serve-main'));
let nextNumber = 1;

/** A folder to be served, removed with the test. */
export class Site {
  readonly root: string;
  readonly content = new Map<string, Buffer>();

  constructor(t: ExecutionContext, sizes: Record<string, number> = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'http-site-'));
    this.root = join(folder, 'root');
    mkdirSync(this.root);
    t.teardown(() => rmSync(folder, {recursive: true}));
    for (const [path, size] of Object.entries(sizes)) this.write(path, randomBytes(size));
  }

  path(name: string): string {
    return join(this.root, name);
  }

  write(name: string, content: Buffer | string): void {
    mkdirSync(dirname(this.path(name)), {recursive: true});
    writeFileSync(this.path(name), content);
    this.content.set(name, Buffer.from(content));
  }

  get(name: string): Buffer {
    return this.content.get(name)!;
  }
}

/** man 5 proc_sysvipc: the segment's number and its maker, of each segment there is. */
function segments(): {id: number; maker: number}[] {
  const lines = readFileSync('/proc/sysvipc/shm', 'latin1').trimEnd().split('\n').slice(1);
  return lines.map(line => {
    const fields = line.trim().split(/\s+/);
    return {id: Number(fields[1]), maker: Number(fields[4])};
  });
}

/** Pids are used again: what stood before is not ours. */
const before = new Set(segments().map(({id}) => id));

/** Numbers of the shared-memory segments that a process of this test made and that still stand. */
export function segmentsOf(pid: number): number[] {
  return segments()
    .filter(({id, maker}) => maker === pid && !before.has(id))
    .map(({id}) => id);
}

/**
 * What keeps root from reading a file that nobody may read: the capability to do so is taken from the process. For
 * others a command is what it is.
 */
const asOrdinary = (command: readonly string[]): readonly string[] =>
  process.getuid!() === 0 ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--', ...command] : command;

export interface Outcome {
  pid: number;
  exitCode: number | null;
  stdout: string;
  stderr: string;
}

/** The server as a program of its own, without a supervisor. */
export class PlainServer {
  readonly pid: number;
  readonly port: number;
  readonly outcome: Promise<Outcome>;
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;

  private constructor(
    child: ChildProcessByStdio<null, Readable, Readable>,
    port: number,
    outcome: Promise<Outcome>,
  ) {
    this.#child = child;
    this.pid = child.pid!;
    this.port = port;
    this.outcome = outcome;
  }

  /** Runs it until it ends by itself. */
  static run(...args: string[]): Promise<Outcome> {
    return PlainServer.#spawn(args).outcome;
  }

  static #spawn(args: string[]) {
    const name = `http-test-${process.pid}-${nextNumber++}`;
    const [file, ...rest] = asOrdinary([process.execPath, serveMain, '--name', name, ...args]);
    const child = spawn(file!, rest, {stdio: ['ignore', 'pipe', 'pipe']});
    const out = {stdout: '', stderr: ''};
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      out.stderr += text;
    });
    const outcome = once(child, 'close').then(([exitCode]) => ({
      pid: child.pid!,
      exitCode: exitCode as number | null,
      ...out,
    }));
    return {child, out, outcome};
  }

  /** It is ended with the test, and must then end well and leave no segment. */
  static async start(t: ExecutionContext, root: string, ...args: string[]): Promise<PlainServer> {
    const {child, out, outcome} = PlainServer.#spawn([root, ...args]);
    // Whichever comes first: what it says when it listens, or its end.
    await Promise.race([once(createInterface(child.stdout), 'line'), outcome]);
    const port = Number(/^listening on http:\/\/.*:(\d+)$/m.exec(out.stdout)?.[1]);
    if (!port) throw new Error(`the server does not listen: ${JSON.stringify(await outcome)}`);
    const server = new PlainServer(child, port, outcome);
    t.teardown(async () => {
      server.signal('SIGTERM');
      const {exitCode, stderr} = await outcome;
      if (exitCode !== 0 || stderr !== '') throw new Error(`the server ended with ${exitCode}: ${stderr}`);
      if (segmentsOf(server.pid).length > 0) throw new Error('the server left its segment behind');
    });
    return server;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }
}

export const startSupervised = (t: ExecutionContext, site: Site): Promise<Supervised> =>
  Supervised.start(t, name => [process.execPath, serveMain, site.root, '--port', '0', '--name', name]);

export interface Answer {
  status: number;
  /** Names in lower case. */
  headers: Map<string, string>;
  body: Buffer;
}

/** A client that takes the answers of its connection one by one. */
export class HttpClient {
  readonly client: Client;
  #rest = Buffer.alloc(0) as Buffer;

  private constructor(client: Client) {
    this.client = client;
  }

  static async open(port: number, options?: {read?: boolean; host?: string}): Promise<HttpClient> {
    return new HttpClient(await Client.open(port, options));
  }

  send(text: string | Buffer): void {
    this.client.send(text);
  }

  /** The next answer; `bodyless` that to a HEAD. */
  async answer({bodyless = false} = {}): Promise<Answer> {
    await this.#until(rest => rest.includes('\r\n\r\n'), 'the end of a head');
    const end = this.#rest.indexOf('\r\n\r\n') + 4;
    const [line, ...fields] = this.#rest.toString('latin1', 0, end - 4).split('\r\n');
    const headers = new Map(
      fields.map(field => {
        const colon = field.indexOf(':');
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()];
      }),
    );
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(line!)?.[1]);
    const hasBody = !bodyless && status !== 304;
    const length = hasBody ? Number(headers.get('content-length')) : 0;
    await this.#until(rest => rest.length >= end + length, `byte ${length} of the content`);
    const body = Buffer.from(this.#rest.subarray(end, end + length));
    this.#rest = this.#rest.subarray(end + length);
    return {status, headers, body};
  }

  /** Waits for the server's end of the connection; nothing may come before it. */
  async untilEnded(): Promise<void> {
    await this.client.untilEnded();
    this.#take();
    if (this.#rest.length > 0) throw new Error(`${this.#rest.length} bytes that nobody asked for`);
    if (this.client.error) throw this.client.error;
  }

  async close(): Promise<void> {
    await this.client.close();
  }

  #take(): void {
    if (this.client.length > 0) this.#rest = Buffer.concat([this.#rest, this.client.take()]);
  }

  async #until(condition: (rest: Buffer) => boolean, what: string): Promise<void> {
    await this.client.until(() => {
      this.#take();
      return condition(this.#rest);
    }, what);
  }
}

/** One exchange on a connection of its own. */
export async function exchangeOnce(port: number, text: string): Promise<Answer> {
  const client = await HttpClient.open(port);
  client.send(text);
  const answer = await client.answer({bodyless: text.startsWith('HEAD ')});
  await client.close();
  return answer;
}

export const get = (path: string, ...fields: string[]): string =>
  `GET ${path} HTTP/1.1\r\nHost: test\r\n${fields.map(field => `${field}\r\n`).join('')}\r\n`;

/** curl's own reading of an answer: an independent client. */
export function curl(
  ...args: string[]
): Promise<{status: number; head: string; body: Buffer; exitCode: number}> {
  return new Promise((resolve, reject) => {
    execFile(
      'curl',
      ['-s', '-i', '--path-as-is', '--max-time', '30', ...args],
      {encoding: 'buffer', maxBuffer: 2 ** 26},
      (error, stdout) => {
        if (error && typeof error.code !== 'number') {
          reject(error);
          return;
        }
        const end = stdout.indexOf('\r\n\r\n');
        const head = stdout.toString('latin1', 0, end);
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]);
        resolve({status, head, body: stdout.subarray(end + 4), exitCode: Number(error?.code ?? 0)});
      },
    );
  });
}

export function makeFifo(path: string): void {
  execFileSync('mkfifo', [path]);
}
