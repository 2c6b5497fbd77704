import {once} from 'node:events';
import {connect, type Socket} from 'node:net';

/** A client that collects what comes. Its own end of the connection stays open when the server ends its own. */
export class Client {
  readonly socket: Socket;
  length = 0;
  ended = false;
  closed = false;
  error: NodeJS.ErrnoException | undefined;
  #chunks: Buffer[] = [];
  readonly #waiting = new Set<() => void>();

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.length += chunk.length;
      this.#wake();
    });
    socket.on('end', () => {
      this.ended = true;
      this.#wake();
    });
    socket.on('error', error => {
      this.error = error;
      this.#wake();
    });
    socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** @param read false: nothing is read before `socket.resume()` */
  static async open(port: number, {read = true, host = '127.0.0.1'} = {}): Promise<Client> {
    const socket = connect({port, host, noDelay: true, allowHalfOpen: true});
    const client = new Client(socket);
    if (!read) socket.pause();
    await once(socket, 'connect');
    return client;
  }

  get text(): string {
    return this.bytes.toString('latin1');
  }

  get bytes(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? Buffer.alloc(0);
  }

  send(data: string | Buffer): void {
    this.socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Each piece in a packet of its own, as far as the kernel lets that be had. */
  async sendPieces(pieces: Iterable<string | Buffer>): Promise<void> {
    for (const piece of pieces) {
      const data = typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
      if (data.length > 0) await new Promise<void>(resolve => this.socket.write(data, () => resolve()));
    }
  }

  /** Waits for what comes to make a condition true; an end of the connection before that is an error. */
  async until(condition: () => boolean, what: string): Promise<void> {
    while (!condition()) {
      if (this.closed || this.ended) {
        const end = this.error?.code ?? (this.ended ? 'its end' : 'a close');
        throw new Error(`${end} came before ${what}; received: ${this.#excerpt()}`);
      }
      await new Promise<void>(resolve => this.#waiting.add(resolve));
    }
  }

  /** Waits for `count` bytes in all. */
  async untilLength(count: number): Promise<void> {
    await this.until(() => this.length >= count, `byte ${count} (${this.length} came)`);
  }

  async untilText(text: string): Promise<void> {
    await this.until(() => this.bytes.includes(text, 0, 'latin1'), JSON.stringify(text));
  }

  /** Waits for the server's end of the connection, in order or by a reset. */
  async untilEnded(): Promise<void> {
    while (!this.ended && !this.closed) await new Promise<void>(resolve => this.#waiting.add(resolve));
  }

  /** Forgets what came so far and returns it. */
  take(): Buffer {
    const {bytes} = this;
    this.#chunks = [];
    this.length = 0;
    return bytes;
  }

  /** FIN: nothing more will be sent. */
  end(): void {
    this.socket.end();
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.socket.destroy();
    await once(this.socket, 'close');
  }

  #excerpt(): string {
    return JSON.stringify(this.bytes.toString('latin1', 0, 300));
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}
