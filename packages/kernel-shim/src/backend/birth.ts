import {native} from '../native.js';

/** What was said to this process by whoever started it as a generation. */
export interface Birth {
  readonly generation: number;
  /** 0: it had died. */
  readonly supervisor: number;
  /** Restarts in a row that no supervisor has seen. */
  readonly orphaned: number;
  /** To the decider: this process' own link, and its keeper's. -1: some program in between did not pass them on. */
  readonly link: number;
  readonly keeperLink: number;
  /** Where the family is met. */
  readonly door: string;
  readonly childId: number;
  /** It was started in advance, and is to wait for its turn. */
  readonly isAhead: boolean;
}

const VARIABLES = ['ZLR_BIRTH', 'ZLR_DOOR', 'ZLR_CHILD_ID', 'ZLR_COMES_BACK'] as const;

/** Descriptors that a process is given begin here: listening sockets, then the two links (native/keeper/become.c). */
const FIRST = 3;

/**
 * Listening sockets that systemd, or a supervisor that has them from it, gives this process (man 3 sd_listen_fds): whoever listens at the
 * address of one listens on it. The variables stay: a program may know what to do with them itself.
 */
export function takeGivenListeners(): void {
  const {LISTEN_PID, LISTEN_FDS} = process.env;
  if (Number(LISTEN_PID) !== process.pid) return;
  for (let fd = FIRST; fd < FIRST + Number(LISTEN_FDS); fd++)
    if (native().localAddress(fd).listening === 1) native().give(fd);
}

/** A number is ours if it is the same open file as in the process that made it: anything may lie there below a shell. */
function own(fd: number, inode: number): number {
  if (inode === 0 || native().inode(fd) !== inode) return -1;
  native().closeOnExec(fd);
  return fd;
}

/** What the birth said, once it has been read. */
let ahead: boolean | undefined;

/** Whether this process was started in advance: known also where nothing else of this package is needed. */
export function isAhead(): boolean {
  return ahead ?? /^(\d+:){6}1$/.test(process.env['ZLR_BIRTH'] ?? '');
}

let back: boolean | undefined;

/** Whether this is the former program, which comes back after a restart that failed: what the new one has left may be more than it knows. */
export function comesBack(): boolean {
  return back ?? process.env['ZLR_COMES_BACK'] === '1';
}

/** It was started before that was known. */
export function setComesBack(): void {
  back = true;
}

/**
 * Read once and removed: a child process of the service must not take itself for the service. Undefined: nobody started this
 * process as a generation.
 */
export function readBirth(): Birth | undefined {
  ahead = isAhead();
  back = comesBack();
  const {env} = process;
  const numbers = env['ZLR_BIRTH']?.split(':').map(Number);
  const door = env['ZLR_DOOR'] ?? '';
  const childId = Number(env['ZLR_CHILD_ID'] ?? 0);
  for (const name of VARIABLES) delete env[name];
  if (numbers?.length !== 7 || numbers.some(number => !Number.isSafeInteger(number))) return undefined;
  const [generation, supervisor, orphaned, link, keeperLink, at, inAdvance] = numbers as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return {
    generation,
    supervisor,
    orphaned,
    link: own(at, link),
    keeperLink: own(at + 1, keeperLink),
    door,
    childId,
    isAhead: inAdvance !== 0,
  };
}

/** NAME=value for a child that is to be a generation; the counterpart of readBirth, and of put_birth in native/keeper/alone.c. */
export function birthVariable(birth: {
  generation: number;
  supervisor: number;
  link: number;
  keeperLink: number;
  listeners: number;
  isAhead: boolean;
}): string {
  const {generation, supervisor, link, keeperLink, listeners, isAhead} = birth;
  const inodes = [link, keeperLink].map(fd => Math.max(0, native().inode(fd)));
  const orphaned = 0; // there is a supervisor
  return `ZLR_BIRTH=${[generation, supervisor, orphaned, ...inodes, FIRST + listeners, isAhead ? 1 : 0].join(':')}`;
}
