import {once} from 'node:events';
import {connect, type Socket} from 'node:net';

/** A boot takes a second, ten on a loaded machine: who hears nothing for so long has been forgotten. */
const FORGOTTEN_MS = 120_000;

/** What the server must answer, byte for byte. */
export interface Expected {
  path: string;
  content: Buffer;
}

/**
 * A client of one connection that checks every byte as it comes: the head, the length, the content, the order of
 * pipelined answers, and that nothing comes unasked. Any other end of the connection than its own is an error.
 */
export class CheckingClient {
  readonly #socket: Socket;
  #pending: Buffer = Buffer.alloc(0);
  #failure: Error | undefined;
  #ended = false;
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', chunk => {
      this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
      // Read only as fast as it is checked, so that a slow check is a slow reader.
      socket.pause();
      this.#wake?.();
    });
    socket.on('error', error => this.#fail(error));
    socket.on('close', () => {
      this.#ended = true;
      this.#wake?.();
    });
  }

  static async open(port: number): Promise<CheckingClient> {
    const socket = connect({port, host: '127.0.0.1', noDelay: true});
    const client = new CheckingClient(socket);
    await once(socket, 'connect');
    return client;
  }

  write(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  /** Reads one answer and checks it; `pace` is awaited before each piece. Stops after `limit` bytes of content. */
  async expect(
    {path, content}: Expected,
    pace: () => Promise<void>,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    let end: number;
    for (;;) {
      end = this.#pending.indexOf('\r\n\r\n');
      if (end >= 0) break;
      if (this.#pending.length > 4096) throw new Error(`${path}: no head in ${this.#pending.length} bytes`);
      await this.#more(path, 'its head');
    }
    const head = this.#pending.toString('latin1', 0, end);
    this.#pending = this.#pending.subarray(end + 4);
    if (!head.startsWith('HTTP/1.1 200 OK\r\n')) throw new Error(`${path}: not the answer expected: ${head}`);
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1]);
    if (length !== content.length) throw new Error(`${path}: length ${length}, expected ${content.length}`);
    let at = 0;
    while (at < Math.min(content.length, limit)) {
      await pace();
      if (this.#pending.length === 0) await this.#more(path, `byte ${at} of ${content.length}`);
      const n = Math.min(this.#pending.length, content.length - at);
      if (this.#pending.compare(content, at, at + n, 0, n) !== 0) {
        let wrong = 0;
        while (this.#pending[wrong] === content[at + wrong]) wrong++;
        throw new Error(`${path}: wrong from byte ${at + wrong} of ${content.length}`);
      }
      this.#pending = this.#pending.subarray(n);
      at += n;
    }
  }

  /** Nothing may have come beyond what was asked for. */
  close(): void {
    if (this.#pending.length > 0) throw new Error(`${this.#pending.length} bytes came that nobody asked for`);
    this.#socket.destroy();
  }

  hangUp(): void {
    this.#socket.destroy();
  }

  async #more(path: string, what: string): Promise<void> {
    if (this.#failure) throw this.#failure;
    if (this.#ended) throw new Error(`${path}: the connection ended before ${what}`);
    await new Promise<void>(resolve => {
      const forgotten = setTimeout(() => {
        const {localPort} = this.#socket;
        this.#fail(
          new Error(`${path}: port ${localPort} got nothing for ${FORGOTTEN_MS / 1000} s, not ${what}`),
        );
      }, FORGOTTEN_MS);
      this.#wake = () => {
        clearTimeout(forgotten);
        resolve();
      };
      this.#socket.resume();
    });
    this.#wake = undefined;
    if (this.#pending.length === 0) {
      if (this.#failure) throw this.#failure;
      if (this.#ended) throw new Error(`${path}: the connection ended before ${what}`);
    }
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#wake?.();
  }
}
