import {getSystemErrorName} from 'node:util';
import {complaint, type Expected} from './options.js';

export type ShimErrorCode =
  | 'NATIVE_MISSING'
  | 'OPTION_INVALID'
  | 'NAME_INVALID'
  | 'NAME_IN_USE'
  | 'NOT_RUNNING'
  | 'NOT_ANSWERING'
  | 'NOT_READY'
  | 'RESTART_FAILED'
  | 'RUN_DIR_UNSAFE'
  | 'COMMAND_EMPTY'
  | 'ENV_FILE_UNREADABLE'
  | 'SPAWN_FAILED'
  | 'KEEPER_FAILED'
  | 'LISTEN_FAILED'
  | 'SYSTEM_CALL_FAILED';

/** An error of registration, keeper, supervisor or a system call; `code` is stable. */
export class ShimError extends Error {
  override readonly name = 'ShimError';
  readonly code: ShimErrorCode;
  /** The system's name of what went wrong, such as 'EADDRINUSE', where a system call failed. */
  readonly errno: string | undefined;

  constructor(code: ShimErrorCode, message: string, errno?: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.errno = errno;
  }
}

/** @throws ShimError OPTION_INVALID */
export function assertFits(of: string, given: unknown, expected: Readonly<Record<string, Expected>>): void {
  const wrong = complaint(of, given, expected);
  if (wrong !== undefined) throw new ShimError('OPTION_INVALID', wrong);
}

const ERRNO_MIN = -4095;

/** The name ('EACCES') of a negative errno that native code returned, or that another process says it met: that may be any number. */
export function errnoName(result: number): string {
  const isErrno = Number.isInteger(result) && result >= ERRNO_MIN && result < 0;
  return isErrno ? getSystemErrorName(result) : `error ${result}`;
}
