import {readFileSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {fatalReport} from '../backend/fatal-report.js';

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined; // what cannot be read says nothing, and a fault costs no more for it
  }
}

/** The file in which the kernel counts whom it killed in this process' memory cgroup, of either version. */
function counterFile(): string | undefined {
  const groups = read('/proc/self/cgroup')?.split('\n') ?? [];
  const v1 = groups.find(line => line.split(':')[1]?.split(',').includes('memory'));
  const own = v1 ?? groups.find(line => line.startsWith('0::'));
  const type = v1 ? 'cgroup' : 'cgroup2';
  const path = own?.split(':').slice(2).join(':');
  // man 5 proc_pid_mountinfo: ... root mountpoint options ... - type source options
  for (const line of read('/proc/self/mountinfo')?.split('\n') ?? []) {
    const [head, tail] = line.split(' - ');
    const [kind, , options] = tail?.split(' ') ?? [];
    if (kind !== type || (v1 && !options!.split(',').includes('memory'))) continue;
    const [, , , root, mounted] = head!.split(' ');
    const below = root !== '/' && path!.startsWith(root!) ? path!.slice(root!.length) : path!;
    return join(mounted!, below, v1 ? 'memory.oom_control' : 'memory.events');
  }
  return undefined;
}

/** Where it is does not change: a process is moved to another cgroup before it runs, if at all. */
let counter: {readonly file: string | undefined} | undefined;

/** How many processes of this process' memory cgroup the kernel has killed for want of memory; 0 where nobody counts. */
export function oomKills(): number {
  counter ??= {file: counterFile()};
  const {file} = counter;
  const text = file === undefined ? undefined : read(file);
  return Number(/^oom_kill (\d+)$/m.exec(text ?? '')?.[1] ?? 0);
}

const REPORT_MAX = 1 << 20;

/** Whether a process said when it aborted that V8 had no memory left. What it said is used up. */
export function ranOutOfHeap(folder: string, pid: number): boolean {
  const file = fatalReport(folder, pid);
  const text = read(file);
  if (text === undefined) return false;
  rmSync(file, {force: true});
  return /"trigger":\s*"OOMError"/.test(text.slice(0, REPORT_MAX));
}
