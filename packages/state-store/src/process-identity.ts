import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';

/*
 * Who holds a store: one 64-bit word, so that a single compare-and-swap claims it.
 *
 *   bit 63      56 55                       22 21                 0
 *       +---------+---------------------------+-------------------+
 *       |  boot   | start time in clock ticks |        pid        |
 *       +---------+---------------------------+-------------------+
 *
 * A pid alone is not enough, the kernel uses it again; pid and start time (field 22 of /proc/PID/stat) together are
 * never used twice in one boot. A service that starts at every boot may well get the same two again, and a store in a
 * file lives that long: 8 bits of the boot's id tell them apart. 22 bits hold PID_MAX_LIMIT (4,194,304), 34 bits of
 * 10 ms ticks hold 5 years.
 */
const PID_BITS = 22n;
const START_BITS = 34n;
const PID_MASK = (1n << PID_BITS) - 1n;

export const NOBODY = 0n;

export function identityOf(pid: number, startTime: bigint): bigint {
  return (
    (bootByte() << (PID_BITS + START_BITS)) |
    (BigInt.asUintN(Number(START_BITS), startTime) << PID_BITS) |
    BigInt(pid)
  );
}

export function pidOf(identity: bigint): number {
  return Number(identity & PID_MASK);
}

/** The start time of a running process; undefined when there is none or only its zombie is left. */
export function startTimeOf(pid: number): bigint | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
  // The second field is the command in parentheses and may hold anything; what follows its last ')' is numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  if (state === 'Z' || state === 'X') return undefined;
  return BigInt(fields[19]!);
}

let own: bigint | undefined;

/** This process. Read once: neither number changes in a life, not even by exec. */
export function ownIdentity(): bigint {
  own ??= identityOf(process.pid, startTimeOf(process.pid)!);
  return own;
}

/** True for the identity of a process of this boot, dead or alive. */
export function isOfThisBoot(identity: bigint): boolean {
  return identity >> (PID_BITS + START_BITS) === bootByte();
}

export function isAlive(identity: bigint): boolean {
  if (identity === NOBODY) return false;
  const start = startTimeOf(pidOf(identity));
  return start !== undefined && identityOf(pidOf(identity), start) === identity;
}

let boot: bigint | undefined;

function bootByte(): bigint {
  boot ??= BigInt(createHash('sha256').update(readFileSync('/proc/sys/kernel/random/boot_id')).digest()[0]!);
  return boot;
}
