import {PLACES, type Seats} from '../segment/tenure.js';
import {check, Errno, kernel} from './kernel.js';

/*
 * Place n of a store in a file is byte n of the file, locked for an open file description (man 2 fcntl, F_OFD_SETLK). The
 * kernel keys such a lock by the file itself, whatever it is called; it goes with the description, so with its process,
 * and is no other thread's of the same process either. The description is of this lock alone: a mapping would keep it.
 */
export class FileSeats implements Seats {
  constructor(
    private readonly fd: number,
    private readonly where: string,
  ) {}

  private lock(first: number, count: number): boolean {
    return (
      check(
        kernel().fileLock(this.fd, first, count),
        this.where,
        'a lock on the file',
        Errno.EAGAIN,
        Errno.EACCES,
      ) === 0
    );
  }

  private unlock(first: number, count: number): void {
    if (count > 0) check(kernel().fileUnlock(this.fd, first, count), this.where, 'to unlock the file');
  }

  takeAll(): boolean {
    return this.lock(0, PLACES);
  }

  takeOne(): number | undefined {
    for (let place = 0; place < PLACES; place++) if (this.lock(place, 1)) return place;
    return undefined;
  }

  keepOne(place: number): void {
    this.unlock(0, place);
    this.unlock(place + 1, PLACES - place - 1);
  }

  isTaken(place: number): boolean {
    return (
      check(kernel().fileIsLocked(this.fd, place, 1), this.where, 'to tell who has locked the file') === 1
    );
  }

  areTaken(): boolean {
    for (let place = 0; place < PLACES; place++) if (!this.isTaken(place)) return false;
    return true;
  }

  leave(): void {
    this.unlock(0, PLACES); // not by the close alone: a child that is just being started has the description too
  }
}
