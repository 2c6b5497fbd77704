import type {Bell} from './bell.js';

/** One attached segment, whatever carries it. */
export interface Backing {
  readonly kind: 'sysv' | 'memory' | 'file';
  readonly bytes: Uint8Array;
  /** True when this call made the segment: it is all zeros. */
  readonly created: boolean;
  /** Names the store among all of this thread, wherever it moves. */
  readonly place: string;
  /** For messages: what and where. */
  readonly where: string;
  readonly bell: Bell;
  /** True when nobody but this process can have it attached and its maker is gone. */
  abandoned(): boolean;
  /** An empty segment to take the place of this one, by `replace` as well. */
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
  /** Removes the segment for everybody. */
  destroy(): void;
}
