import {readFileSync} from 'node:fs';
import {StoreError} from '../errors.js';
import {PLACES, type Seats} from '../segment/tenure.js';
import {check, Errno, kernel} from './kernel.js';

/*
 * The places of a SysV store are semaphores, which live where its segment lives, so that all who can see the one see the
 * other. What a process adds with SEM_UNDO the kernel takes back when the process ends, whatever ends it; neither fork nor
 * clone(CLONE_FILES) passes it on, so no keeper has it.
 *
 *   0        1: one has all places
 *   1        how many have one
 *   2 + n    1: somebody has place n
 *
 * Each step below is one semop(), all of it or nothing. A set in which nobody has a place is as good as none: whoever is the
 * last removes it, and what a killed one left is used by the next.
 */
const ALL = 0;
const COUNT = 1;
const FIRST = 2;

export class SysvSeats implements Seats {
  private id: number;

  constructor(
    private readonly key: number,
    private readonly where: string,
  ) {
    this.id = this.open();
  }

  private open(): number {
    const count = FIRST + PLACES;
    const id = kernel().semOpen(this.key, count, 1);
    // EINVAL: there is a smaller set, or none so large is allowed.
    const isThere = id !== -Errno.EINVAL || kernel().semOpen(this.key, 0, 0) !== -Errno.ENOENT;
    if (id === -Errno.ENOSPC || !isThere)
      throw new StoreError(
        'ERR_LIMIT',
        `${this.where}: the kernel has no ${count} semaphores for it, by which its writers exclude each other. kernel.sem (SEMMSL, SEMMNS, SEMOPM, SEMMNI: ${semaphoreLimits()}) bounds those of one set, of all sets, and the sets (ipcs -s); remove some sets, raise it (sysctl -w kernel.sem=...), or use backend 'file'.`,
      );
    if (id === -Errno.EACCES || id === -Errno.EINVAL)
      throw new StoreError(
        'ERR_FOREIGN',
        `${this.where}: the semaphores at its key are not those of a store of yours (ipcs -s); they were left untouched. Choose another name.`,
      );
    return check(id, this.where, 'semaphores, by which its writers exclude each other');
  }

  /** False when it cannot be now. */
  private change(...changes: number[]): boolean {
    for (;;) {
      const result = kernel().semChange(this.id, Int32Array.from(changes));
      if (result === 0) return true;
      if (result === -Errno.EAGAIN) return false;
      // The last one removed the set since.
      if (result !== -Errno.EIDRM && result !== -Errno.EINVAL)
        check(result, this.where, 'to change a semaphore with SEM_UNDO');
      this.id = this.open();
    }
  }

  private value(number: number): number {
    return Math.max(kernel().semValue(this.id, number), 0); // when the set has gone nobody has anything
  }

  /** What this process took before it replaced itself by exec, which keeps it. Others' numbers never pass for one's own here. */
  private isOwn(number: number): boolean {
    return this.value(number) > 0 && kernel().semPid(this.id, number) === process.pid;
  }

  private place(): number | undefined {
    if (this.value(COUNT) === 0) return undefined;
    for (let place = 0; place < PLACES; place++) if (this.isOwn(FIRST + place)) return place;
    return undefined;
  }

  takeAll(own = this.place()): boolean {
    if (this.isOwn(ALL)) return true;
    return own === undefined
      ? this.change(ALL, 0, COUNT, 0, ALL, 1)
      : this.change(ALL, 0, COUNT, -1, FIRST + own, -1, COUNT, 0, ALL, 1);
  }

  takeOne(): number | undefined {
    if (this.isOwn(ALL)) {
      this.keepOne(0);
      return 0;
    }
    const own = this.place();
    if (own !== undefined) return own;
    for (let place = 0; place < PLACES; place++)
      if (
        this.value(FIRST + place) === 0 &&
        this.change(ALL, 0, FIRST + place, 0, FIRST + place, 1, COUNT, 1)
      )
        return place;
    return undefined;
  }

  keepOne(place: number): void {
    this.change(ALL, -1, FIRST + place, 1, COUNT, 1);
  }

  isTaken(place: number): boolean {
    return this.value(FIRST + place) > 0;
  }

  areTaken(): boolean {
    return this.value(ALL) > 0 && !this.isOwn(ALL);
  }

  leave(): void {
    if (!this.takeAll()) {
      const own = this.place();
      if (own !== undefined) this.change(FIRST + own, -1, COUNT, -1);
      if (!this.takeAll(undefined)) return; // another one will be the last
    }
    kernel().semRemove(this.id);
  }
}

function semaphoreLimits(): string {
  return readFileSync('/proc/sys/kernel/sem', 'utf8').trim().replaceAll('\t', ' ');
}

/** The pid of the single writer at a key; 0: he has no number in this pid namespace; undefined: there is none. */
export function soleWriter(key: number): number | undefined {
  const id = kernel().semOpen(key, FIRST + PLACES, 0);
  if (id < 0 || kernel().semValue(id, ALL) <= 0) return undefined;
  return Math.max(kernel().semPid(id, ALL), 0);
}
