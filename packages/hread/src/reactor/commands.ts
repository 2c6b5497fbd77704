import {native, type ReactorHandle} from '@zlr/kernel-shim/internal';

const WORDS = 4;

/** Of control[1]: no batch is delivered; one of what was collected; one of what commands have brought about. */
const COLLECTED = 1;

/**
 * The memory in which events and commands cross the language boundary, four words each.
 *
 * control[0] is the number of commands that wait; control[1] says that native code delivers a batch: it takes all
 * commands when the batch, and the promises that it settled, are through. At other times they are handed over at the
 * end of the current turn. control[2] says that channels wait for their turn: another pass follows soon.
 */
export class Commands {
  readonly #capacity = native().REACTOR_COMMANDS;
  readonly events = new Uint32Array(native().REACTOR_EVENTS * WORDS);
  readonly #commands = new Uint32Array(this.#capacity * WORDS);
  readonly #control = new Uint32Array(3);
  /** What did not fit into one batch: many answers may become ready in one turn. */
  #overflow: number[] = [];
  #scheduled = false;
  #passScheduled = false;
  #reactor: ReactorHandle | undefined;

  get buffers(): [events: Uint32Array, commands: Uint32Array, control: Uint32Array] {
    return [this.events, this.#commands, this.#control];
  }

  /** Before the first push. */
  connect(reactor: ReactorHandle): void {
    this.#reactor = reactor;
  }

  push(kind: number, channel: number, argument = 0): void {
    const count = this.#control[0]!;
    if (count === this.#capacity || this.#overflow.length > 0) this.#overflow.push(kind, channel, argument);
    else this.#put(count, kind, channel, argument);
    if (this.#control[1] === 0) this.#schedule();
  }

  /** The batch is one of what was collected: a turn of everybody. */
  get isTurn(): boolean {
    return this.#control[1] === COLLECTED;
  }

  /** Whether channels wait for their turn. */
  set othersWait(wait: boolean) {
    this.#control[2] = wait ? 1 : 0;
    if (!wait || this.#passScheduled) return;
    this.#passScheduled = true;
    setImmediate(() => {
      this.#passScheduled = false;
      if (this.#control[2] !== 0 && this.#reactor) native().reactorPass(this.#reactor);
    });
  }

  /** Nothing is handed over any more. */
  disconnect(): void {
    this.#reactor = undefined;
  }

  /** Carries out all that waits; not from within a batch. */
  submit(): void {
    this.#scheduled = false;
    if (this.#control[1] !== 0 || !this.#reactor) return; // native code takes them itself
    do {
      this.refill();
      if (this.#control[0]! > 0) native().reactorSubmit(this.#reactor);
    } while (this.#overflow.length > 0);
  }

  /** Moves what did not fit before into the room that there is now. */
  refill(): void {
    if (this.#overflow.length === 0) return;
    const old = this.#overflow;
    this.#overflow = [];
    let at = 0;
    for (; at < old.length && this.#control[0]! < this.#capacity; at += 3) {
      this.#put(this.#control[0]!, old[at]!, old[at + 1]!, old[at + 2]!);
    }
    if (at < old.length) {
      this.#overflow = old.slice(at);
      this.#schedule();
    }
  }

  #put(count: number, kind: number, channel: number, argument: number): void {
    const at = count * WORDS;
    this.#commands[at] = kind;
    this.#commands[at + 1] = channel;
    this.#commands[at + 2] = argument;
    this.#control[0] = count + 1;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.submit());
  }
}
