import {complaint, type Expected} from '@zlr/kernel-shim/internal';

export type HreadErrorCode =
  | 'OPTION_INVALID'
  | 'LISTEN_FAILED'
  | 'HOST_UNKNOWN'
  | 'HOLD_EXCEEDED'
  | 'READ_FAILED'
  | 'MEMORY_FULL'
  | 'CONNECTION_CLOSED'
  | 'REQUEST_OVER'
  | 'POISON'
  | 'CAPSULE_INVALID';

/** An error of a channel or of the loop that serves them; `code` is stable. */
export class HreadError extends Error {
  override readonly name = 'HreadError';
  readonly code: HreadErrorCode;
  /** The system's name of what went wrong, such as 'EADDRINUSE', where a system call failed. */
  readonly errno: string | undefined;

  constructor(code: HreadErrorCode, message: string, errno?: string) {
    super(message);
    this.code = code;
    this.errno = errno;
  }
}

/** @throws HreadError OPTION_INVALID */
export function assertFits(of: string, given: unknown, expected: Readonly<Record<string, Expected>>): void {
  const wrong = complaint(of, given, expected);
  if (wrong !== undefined) throw new HreadError('OPTION_INVALID', wrong);
}
