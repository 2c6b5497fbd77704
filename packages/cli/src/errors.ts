export type CliErrorCode =
  | 'USAGE'
  | 'NO_SERVICE'
  | 'NOT_A_DIRECTORY'
  | 'HOST_UNKNOWN'
  | 'LISTEN_FAILED'
  | 'PACKAGE_MISSING'
  | 'NOT_FOUND'
  | 'FILE';

/** Runs what reads or writes a file that the command line named; `what` says what it is to be. */
export function onFile<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    throw new CliError('FILE', `${what}: ${(cause as Error).message}`);
  }
}

/** What the user can put right. The message is one line: what was wrong, what was expected, what to do. */
export class CliError extends Error {
  override readonly name = 'CliError';

  constructor(
    readonly code: CliErrorCode,
    message: string,
  ) {
    super(message);
  }

  /** 2 says that the command line must change, 1 that something else must. */
  get exitCode(): number {
    return this.code === 'USAGE' ? 2 : 1;
  }
}
