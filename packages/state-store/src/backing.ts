/** One attached segment, whatever carries it. */
export interface Backing {
  readonly kind: 'sysv' | 'memory' | 'file';
  readonly bytes: Uint8Array;
  /** True when this call made the segment: it is all zeros. */
  readonly created: boolean;
  /** For messages: what and where. */
  readonly where: string;
  /** True when nobody but this process can have it attached and its maker is gone. */
  abandoned(): boolean;
  /** Lets go; `bytes` must not be touched after. */
  detach(): void;
  /** Removes the segment for everybody. */
  destroy(): void;
}
