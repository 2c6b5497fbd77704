import assert from 'node:assert/strict';

/**
 * The slots of the shared pool, and the stack of those that are free. The stack is this process' own and shared with
 * native code, which takes slots for input: stack[0] is the count, stack[1..count] are slot numbers.
 */
export class Slots {
  readonly memory: Buffer;
  readonly size: number;
  readonly count: number;
  readonly stack: Int32Array;

  constructor(memory: Buffer, size: number) {
    assert(size > 0 && memory.length % size === 0, 'the pool is a whole number of slots');
    this.memory = memory;
    this.size = size;
    this.count = memory.length / size;
    this.stack = new Int32Array(this.count + 1);
  }

  /** Declares free all but the given ones. The lowest are taken first, so that few pages are ever touched. */
  free(except: ReadonlySet<number>): void {
    let top = 0;
    for (let slot = this.count - 1; slot >= 0; slot--) if (!except.has(slot)) this.stack[++top] = slot;
    this.stack[0] = top;
  }

  /** A slot number, or -1 when none is free. */
  take(): number {
    const top = this.stack[0]!;
    if (top === 0) return -1;
    this.stack[0] = top - 1;
    return this.stack[top]!;
  }

  give(slot: number): void {
    const top = this.stack[0]! + 1;
    assert(top <= this.count, 'no slot is given back twice');
    this.stack[top] = slot;
    this.stack[0] = top;
  }

  get freeCount(): number {
    return this.stack[0]!;
  }
}
