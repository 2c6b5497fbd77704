import {ShimError} from './errors.js';
import {native} from './native.js';

const STDOUT = 1;
const STDERR = 2;
let lost = 0;

/**
 * Says a line on standard error, for the operator; with ZLR_LOG=json in the environment as an object, for a program. Where nobody reads it,
 * it is dropped, and counted: neither a service nor its supervisor waits for the reader of a log, nor ends for want of one.
 *
 * @param about what else the object says
 */
export function say(line: string, about: Readonly<Record<string, unknown>> = {}): void {
  const form =
    process.env['ZLR_LOG'] === 'json'
      ? (text: string) => object(text, about)
      : (text: string) => `zlr: ${text}`;
  const before = lost === 0 ? '' : `${form(`${lost} lines found no reader before this one`)}\n`;
  if (put(STDERR, `${before}${form(line)}\n`)) lost = 0;
  else lost++;
}

const object = (text: string, about: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({at: new Date().toISOString(), pid: process.pid, ...about, text});

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
