/** What a process declares in order to be restarted (thesis, `reregist`). */
export interface Registration {
  /** The program that the next generation executes. */
  readonly binPath: string;
  readonly argv: readonly string[];
  readonly envp: Readonly<Record<string, string>>;
  /** Tells the processes of one service apart; 0 for the only one. */
  readonly childId: number;
}

/** A file that was handed over. */
export interface HandedFile {
  readonly fd: number;
  /** Its descriptor in the former generation. */
  readonly was: number;
}

export interface HandedOver {
  /** Sockets, listening ones and connections. */
  readonly channels: readonly number[];
  readonly files: readonly HandedFile[];
}

/**
 * Who sees to it that the process is followed by another: keepers and a supervisor, or the kernel module.
 *
 * What a channel is, and how far it has come, is the same for both and no part of this: it is marked on the open file
 * itself (native/keeper/table.h), and its positions are the kernel's own (native/channels/books.h). What follows a death,
 * too, is decided elsewhere: by the supervisor (supervisor/machine.ts), or by the module (kmod/fault.c), by the same rules
 * but for one (kmod/README.md).
 */
export interface Backend {
  /** This life's number; 1 for the first. */
  readonly generation: number;
  /** What the former generation had registered, 0 in the first. */
  readonly childId: number;
  /** The pid of the keeper; 0: there is none. */
  readonly keeperPid: number;
  /** It was started in advance, and its turn has not come. */
  readonly standsBy: boolean;
  /** It has done what it can before its turn. */
  stand(): Promise<void>;
  /** Settles when it may take over what the former generation left: at once, but in one that stands by. */
  turn(): Promise<void>;
  /** Called in one that stands by, when it has begun to wait. */
  whenStandingBy(warm: () => void | Promise<void>): void;
  /**
   * Takes over what the former generation left, once; waits for its turn. From then on it outlives this process, too.
   *
   * @throws ShimError
   */
  takeOver(): HandedOver;
  /**
   * This process can be restarted from here on.
   *
   * @param registration undefined: as this process was started
   * @param channels how many were handed over to it
   * @throws ShimError
   */
  register(registration: Registration | undefined, channels: number): void;
  /** The first channel that was handed over is served again. */
  served(): void;
  /** Called, and waited for a while, before this process is replaced on purpose. */
  whenRenewed(finish: () => Promise<void>): void;
  /** The faults before it were an input's, which it has set aside. */
  blamed(): void;
  /** The end of this process, which follows, is no fault. */
  orderly(): void;
}

/** NAME=value, as execve() takes them. */
export function environmentStrings(envp: Readonly<Record<string, string>>): string[] {
  return Object.entries(envp).map(([name, value]) => `${name}=${value}`);
}
