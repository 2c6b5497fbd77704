import {readdirSync, readFileSync} from 'node:fs';

/** Of /proc/PID/stat (man 5 proc_pid_stat); undefined: there is no such process. */
function stat(pid: number): {state: string; parent: number; session: number} | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in brackets, may hold anything.
    const [state, parent, , session] = line.slice(line.lastIndexOf(')') + 2).split(' ');
    return {state: state!, parent: Number(parent), session: Number(session)};
  } catch (error) {
    const {code} = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

function all(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** The processes of a session that live. A generation leads one, and what it starts stays in it unless it leads one itself. */
export function membersOf(session: number): number[] {
  return all().filter(pid => {
    const found = stat(pid);
    return found?.session === session && found.state !== 'Z';
  });
}

/** This process' children that have ended and wait to be reaped, and the session each was of. */
export function endedChildren(): {pid: number; session: number}[] {
  return all().flatMap(pid => {
    const found = stat(pid);
    return found?.parent === process.pid && found.state === 'Z' ? [{pid, session: found.session}] : [];
  });
}

/** Whether a process stands below another in the tree of processes. */
export function isBelow(pid: number, ancestor: number): boolean {
  for (let at = pid; at > 1; at = stat(at)?.parent ?? 0) if (at === ancestor) return true;
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
