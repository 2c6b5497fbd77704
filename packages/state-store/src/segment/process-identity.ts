import {createHash} from 'node:crypto';
import {readFileSync} from 'node:fs';

/*
 * The name of who writes a store, in one 64-bit word. It names a thread: the kernel numbers threads and processes in one
 * space, a process has the number of its main thread, and /proc/N/stat is there for each. Two containers may number their
 * processes alike: who is alive is asked of the kernel in another way, see tenure.ts, except among the threads of one process.
 *
 *   bit 63      56 55                       22 21                 0
 *       +---------+---------------------------+-------------------+
 *       |  boot   | start time in clock ticks |    pid or tid     |
 *       +---------+---------------------------+-------------------+
 *
 * A number alone is not enough, the kernel uses it again; with the start time (field 22 of /proc/PID/stat) it is
 * never used twice in one boot. A service that starts at every boot may well get the same two again, and a store in a
 * file lives that long: 8 bits of the boot's id tell them apart. 22 bits hold PID_MAX_LIMIT (4,194,304), 34 bits of
 * 10 ms ticks hold 5 years.
 */
const ID_BITS = 22n;
const START_BITS = 34n;
const ID_MASK = (1n << ID_BITS) - 1n;

export const NOBODY = 0n;

export function identityOf(id: number, startTime: bigint): bigint {
  return (
    (bootByte() << (ID_BITS + START_BITS)) |
    (BigInt.asUintN(Number(START_BITS), startTime) << ID_BITS) |
    BigInt(id)
  );
}

function idOf(identity: bigint): number {
  return Number(identity & ID_MASK);
}

/** The pid of the process that a thread belongs to; of a dead one nobody knows, then the number it had. */
export function pidOf(identity: bigint): number {
  const id = idOf(identity);
  try {
    return Number(/^Tgid:\s+(\d+)/m.exec(readFileSync(`/proc/${id}/status`, 'utf8'))![1]);
  } catch (error) {
    if (isGone(error)) return id;
    throw error;
  }
}

/** For messages: of somebody who is known to be there. */
export function nameOf(identity: bigint): string {
  if (identity === NOBODY) return 'another process';
  const id = idOf(identity);
  if (!isAlive(identity))
    return `process ${id} of another pid namespace (a container, perhaps), which numbers it so`;
  const pid = pidOf(identity);
  const name = id === pid ? `process ${pid}` : `thread ${id} of process ${pid}`;
  return pid === pidOf(ownIdentity()) ? `${name} (this one)` : name;
}

function isGone(error: unknown): boolean {
  const {code} = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ESRCH';
}

/** What /proc says of a thread: its number and its start time. undefined: there is none, or only its zombie is left. */
function stateOf(proc: string): {id: number; start: bigint} | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${proc}/stat`, 'utf8');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
  // The second field is the command in parentheses and may hold anything; what follows its last ')' is numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  if (state === 'Z' || state === 'X') return undefined;
  return {id: Number.parseInt(stat, 10), start: BigInt(fields[19]!)};
}

/** The start time of a running process or thread; undefined when there is none or only its zombie is left. */
export function startTimeOf(id: number): bigint | undefined {
  return stateOf(`${id}`)?.start;
}

let own: bigint | undefined;

/**
 * This thread, as /proc numbers it, which may be mounted for another pid namespace. Read once: neither number changes in a
 * life, not even by exec.
 */
export function ownIdentity(): bigint {
  if (own === undefined) {
    const {id, start} = stateOf('thread-self')!;
    own = identityOf(id, start);
  }
  return own;
}

/** True for the identity of a thread of this boot, dead or alive. */
export function isOfThisBoot(identity: bigint): boolean {
  return identity >> (ID_BITS + START_BITS) === bootByte();
}

export function isAlive(identity: bigint): boolean {
  if (identity === NOBODY) return false;
  const start = startTimeOf(idOf(identity));
  return start !== undefined && identityOf(idOf(identity), start) === identity;
}

let boot: bigint | undefined;

function bootByte(): bigint {
  boot ??= BigInt(createHash('sha256').update(readFileSync('/proc/sys/kernel/random/boot_id')).digest()[0]!);
  return boot;
}
