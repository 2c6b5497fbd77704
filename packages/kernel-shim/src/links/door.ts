import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';
import {Link} from './link.js';

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
