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
  if (native().put(STDERR, `${before}zlr: ${line}\n`) === 0) lost = 0;
  else lost++;
}

/** The same on standard output, for whoever waits for it. */
export function tell(line: string): void {
  native().put(STDOUT, `${line}\n`);
}
