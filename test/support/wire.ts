import {once} from 'node:events';
import {connect, type Socket} from 'node:net';

export interface Answer {
  status: number;
  fields: Map<string, string>;
  body: Buffer;
}

/** The connection ended, or was reset, before what was waited for had come. */
export class Cut extends Error {
  override readonly name = 'Cut';
}

/** One connection, on which answers are read byte by byte as a client has them: nothing is guessed, nothing passed over. */
export class Wire {
  readonly socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #why: string | undefined;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', chunk => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      socket.pause(); // read only as fast as is asked for
      this.#wake?.();
    });
    const cut = (why: string) => () => {
      this.#why ??= why;
      this.#wake?.();
    };
    socket.on('error', error => cut(error.message)());
    socket.on('end', cut('it ended'));
    socket.on('close', cut('it was closed'));
  }

  static async open(port: number): Promise<Wire> {
    const socket = connect({port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true});
    await once(socket, 'connect');
    socket.pause();
    return new Wire(socket);
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  get(path: string, fields = ''): void {
    this.write(`GET ${path} HTTP/1.1\r\nHost: wire\r\n${fields}\r\n`);
  }

  post(path: string, body: string | Buffer, fields = ''): void {
    this.write(
      Buffer.concat([
        Buffer.from(`POST ${path} HTTP/1.1\r\nHost: wire\r\nContent-Length: ${body.length}\r\n${fields}\r\n`),
        Buffer.from(body),
      ]),
    );
  }

  /** Bytes that came and were not asked for yet. */
  get unread(): number {
    return this.#pending.length;
  }

  async #more(): Promise<void> {
    if (this.#why !== undefined) throw new Cut(this.#why);
    const before = this.#pending.length;
    while (this.#pending.length === before && this.#why === undefined)
      await new Promise<void>(resolve => {
        this.#wake = resolve;
        this.socket.resume();
      });
    if (this.#pending.length === before) throw new Cut(this.#why);
  }

  /** Waits until so many bytes are there, without taking them. */
  async until(count: number): Promise<void> {
    while (this.#pending.length < count) await this.#more();
  }

  async take(count: number): Promise<Buffer> {
    await this.until(count);
    const bytes = this.#pending.subarray(0, count);
    this.#pending = this.#pending.subarray(count);
    return bytes;
  }

  async line(): Promise<string> {
    while (!this.#pending.includes('\r\n')) await this.#more();
    const end = this.#pending.indexOf('\r\n');
    return (await this.take(end + 2)).toString('latin1', 0, end);
  }

  async head(): Promise<Omit<Answer, 'body'>> {
    const first = /^HTTP\/1\.1 (\d\d\d) /.exec(await this.line());
    if (!first) throw new Error('an answer begins otherwise');
    const fields = new Map<string, string>();
    for (;;) {
      const line = await this.line();
      if (line === '') return {status: Number(first[1]), fields};
      const colon = line.indexOf(': ');
      if (colon < 0) throw new Error(`no field: ${line}`);
      fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 2));
    }
  }

  async answer(options: {toHead?: boolean; pace?: () => Promise<void>} = {}): Promise<Answer> {
    const {status, fields} = await this.head();
    const parts: Buffer[] = [];
    const length = fields.get('content-length');
    if (options.toHead || status < 200 || status === 204 || status === 304) {
      return {status, fields, body: Buffer.alloc(0)};
    }
    if (length !== undefined) {
      for (let left = Number(length); left > 0; left -= parts.at(-1)!.length) {
        await options.pace?.();
        await this.until(1);
        parts.push(await this.take(Math.min(left, this.unread)));
      }
    } else if (fields.get('transfer-encoding') === 'chunked') {
      for (;;) {
        await options.pace?.();
        const size = Number.parseInt(await this.line(), 16);
        if (size > 0) parts.push(await this.take(size));
        if ((await this.line()) !== '') throw new Error('a chunk is longer than its size');
        if (size === 0) break;
      }
    } else {
      throw new Error('the answer has no framing');
    }
    return {status, fields, body: Buffer.concat(parts)};
  }

  /** Resolves when the other end has ended the connection; an error when a byte comes before. */
  async ended(): Promise<string> {
    try {
      await this.until(1);
    } catch (error) {
      if (error instanceof Cut) return error.message;
      throw error;
    }
    throw new Error(`a byte came that nobody asked for: ${this.#pending.toString('latin1', 0, 80)}`);
  }

  close(): void {
    this.socket.destroy();
  }
}
