import {readdirSync} from 'node:fs';
import {errnoName, ShimError} from '../errors.js';
import {native} from '../native.js';

interface Process {
  pid: number;
  parent: number;
  session: number;
  hasEnded: boolean;
}

/** In one call: this stands between a fault and the next generation. */
function all(): Process[] {
  const found = native().processes();
  if (typeof found === 'number')
    throw new ShimError('SYSTEM_CALL_FAILED', `/proc cannot be read: ${errnoName(found)}`, errnoName(found));
  return Array.from({length: found.length / 4}, (_, index) => {
    const [pid, parent, session, hasEnded] = found.slice(index * 4, index * 4 + 4) as [
      number,
      number,
      number,
      number,
    ];
    return {pid, parent, session, hasEnded: hasEnded === 1};
  });
}

/** The processes of a session that live. A generation leads one, and what it starts stays in it unless it leads one itself. */
export function membersOf(session: number): number[] {
  return all().flatMap(each => (each.session === session && !each.hasEnded ? [each.pid] : []));
}

/** This process' children that have ended and wait to be reaped, and the session each was of. */
export function endedChildren(): {pid: number; session: number}[] {
  return all().filter(({parent, hasEnded}) => parent === process.pid && hasEnded);
}

/** Whether a process stands below another in the tree of processes. */
export function isBelow(pid: number, ancestor: number): boolean {
  const parents = new Map(all().map(each => [each.pid, each.parent]));
  for (let at = pid; at > 1; at = parents.get(at) ?? 0) if (at === ancestor) return true;
  return false;
}

/** Undefined: the process has gone, or is not ours to look into. */
export function openDescriptors(pid: number): number | undefined {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return undefined;
    throw error;
  }
}

/** Sends a signal; a process that has gone already is as well. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
