import {errnoName, ShimError} from '../errors.js';
import {Link} from '../links/link.js';
import {native} from '../native.js';

/** A pair of links; `theirs` is a descriptor that is given away and then closed. @throws ShimError SYSTEM_CALL_FAILED */
export function makePair(): {ours: number; theirs: number} {
  const {error, ours, theirs} = native().linkPair();
  if (error === 0) return {ours, theirs};
  throw new ShimError('SYSTEM_CALL_FAILED', `no pair of sockets: ${errnoName(error)}`, errnoName(error));
}

/** Calls back for everyone who comes to a door. */
export class Door {
  readonly #fd: number;
  readonly #watch: ReturnType<ReturnType<typeof native>['onReadable']>;

  /** @param onGuest gets the link, and who it is as the kernel says */
  constructor(path: string, onGuest: (link: Link, pid: number, uid: number) => void) {
    this.#fd = native().linkDoor(path);
    if (this.#fd < 0) {
      const name = errnoName(this.#fd);
      throw new ShimError('SYSTEM_CALL_FAILED', `cannot listen at ${path}: ${name}`, name);
    }
    this.#watch = native().onReadable(
      this.#fd,
      () => {
        for (;;) {
          const {link, pid, uid} = native().linkAnswer(this.#fd);
          if (link < 0) return;
          onGuest(new Link(link), pid, uid);
        }
      },
      false,
    );
  }

  close(): void {
    if (typeof this.#watch !== 'number') native().unwatch(this.#watch);
    native().close(this.#fd);
  }
}
