import {ShimError} from './errors.js';
import {native} from './native.js';

const STDOUT = 1;
const STDERR = 2;
let lost = 0;

/**
 * Says a line on standard error, for the operator. Where nobody reads it, it is dropped, and counted: neither a service nor its supervisor
 * waits for the reader of a log, nor ends for want of one.
 */
export function say(line: string): void {
  const before = lost === 0 ? '' : `zlr: ${lost} lines found no reader before this one\n`;
  if (put(STDERR, `${before}zlr: ${line}\n`)) lost = 0;
  else lost++;
}

/** The same on standard output, for whoever waits for it. */
export function tell(line: string): void {
  put(STDOUT, `${line}\n`);
}

/** Where the addon is missing, which is one of the things that are said, the runtime writes it. */
function put(fd: number, text: string): boolean {
  try {
    return native().put(fd, text) === 0;
  } catch (error) {
    if (!(error instanceof ShimError)) throw error;
    return (fd === STDERR ? process.stderr : process.stdout).write(text);
  }
}
