import {errnoName, ShimError} from '../errors.js';
import {native, type Watch} from '../native.js';
import {decode, encode, WORD_SIZE, type Word} from './word.js';

/** A word that came, and who sent it, as the kernel says; pid 0 where the link does not ask. */
export interface Received extends Word {
  /** What came with it, close-on-exec, and belongs to the receiver; -1: nothing. */
  fd: number;
  senderPid: number;
  senderUid: number;
}

const EAGAIN = -11;
const EBADMSG = -74;

const bytes = new Uint8Array(WORD_SIZE);
const view = new DataView(bytes.buffer);

/** One end of a pair that carries words and descriptors; the other end is another process'. */
export class Link {
  #fd: number;
  #watch: Watch | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** For who sends words over it from native code; the descriptor stays this link's. */
  giveTo(use: (fd: number) => void): void {
    if (this.#fd >= 0) use(this.#fd);
  }

  /** False: nobody is there to hear it, or he does not listen. A descriptor that goes with it stays the caller's, too. */
  send(word: Partial<Word> & {kind: number}, fd = -1): boolean {
    if (this.#fd < 0) return false;
    encode(word, view);
    return native().linkSend(this.#fd, bytes, fd) === 0;
  }

  /** Blocks this thread until there is a word; undefined: the other end is closed. */
  wait(): Received | undefined {
    for (;;) {
      const received = this.#receive(true);
      if (received !== 'nothing') return received;
    }
  }

  /** Calls back for each word, and once when the other end is closed. */
  listen(onWord: (word: Received) => void, onClosed: () => void, keepLoopAlive: boolean): void {
    const watch = native().onReadable(
      this.#fd,
      () => {
        for (;;) {
          if (this.#watch === undefined) return; // closed by what was called back
          const received = this.#receive(false);
          if (received === 'nothing') return;
          if (received === undefined) {
            this.close();
            onClosed();
            return;
          }
          onWord(received);
        }
      },
      keepLoopAlive,
    );
    if (typeof watch === 'number') {
      this.close();
      onClosed();
    } else {
      this.#watch = watch;
    }
  }

  /** Somebody else is going to listen; what comes meanwhile waits. */
  unlisten(): void {
    if (this.#watch !== undefined) native().unwatch(this.#watch);
    this.#watch = undefined;
  }

  close(): void {
    if (this.#watch !== undefined) native().unwatch(this.#watch);
    this.#watch = undefined;
    if (this.#fd >= 0) native().close(this.#fd);
    this.#fd = -1;
  }

  #receive(block: boolean): Received | undefined | 'nothing' {
    const {result, fd, pid, uid} = native().linkReceive(this.#fd, bytes, block);
    if (result === EAGAIN || result === EBADMSG) return 'nothing'; // what is no word is not for us
    if (result !== 1) return undefined;
    return {...decode(view), fd, senderPid: pid, senderUid: uid};
  }
}

/** A pair of links; `theirs` is a descriptor that is given away and then closed. @throws ShimError SYSTEM_CALL_FAILED */
export function makePair(): {ours: number; theirs: number} {
  const {error, ours, theirs} = native().linkPair();
  if (error === 0) return {ours, theirs};
  throw new ShimError('SYSTEM_CALL_FAILED', `no pair of sockets: ${errnoName(error)}`, errnoName(error));
}
