import type {Access} from '../segment/engine.js';
import type {Tenure} from '../segment/tenure.js';
import type {Bell} from './bell.js';

/** What is to be attached, and why. */
export interface Asked {
  name: string;
  /** Bytes of one that is made; undefined: it must be there. */
  size: number | undefined;
  access: Access;
  /** For messages: the line that asked. */
  opened: string;
}

/** One attached segment, whatever carries it. */
export interface Backing {
  readonly kind: 'sysv' | 'memory' | 'file';
  readonly bytes: Uint8Array;
  /** True when this call made the segment: it is all zeros. */
  readonly created: boolean;
  /** For messages: what and where. */
  readonly where: string;
  /** Where the holdings list it. */
  readonly place: string;
  /** The right to write; undefined for who reads. */
  readonly tenure: Tenure | undefined;
  /** False: not one byte may be stored, the kernel would end the process. */
  readonly writable: boolean;
  readonly bell: Bell;
  /** True when nobody but this process can have it attached. For who holds all places. */
  abandoned(): boolean;
  /** What was made is whole: from now on it is found. */
  appear(): void;
  /** An empty segment to take the place of this one, by `replace` as well. For who is alone. */
  blank(size: number): Backing;
  /**
   * A larger segment with the same content, to take the place of this one. Nobody finds it before `replace`, which
   * happens at once for everybody; a crash before that leaves this one as it is.
   */
  enlarge(size: number): Backing;
  /** Publishes `by`. */
  replace(by: Backing): void;
  /** The segment that took the place of this one. */
  successor(): Backing;
  /** Where it is mapped in this process. */
  address(): bigint;
  /** Writes to disk, for backends that have one. */
  sync?(): void;
  /** Lets go; `bytes` must not be touched after. */
  detach(): void;
  /** Removes the segment for everybody, and lets go. */
  destroy(): void;
}
