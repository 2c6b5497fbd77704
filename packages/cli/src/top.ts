import {readFileSync} from 'node:fs';
import {setTimeout as delay} from 'node:timers/promises';
import {isatty} from 'node:tty';
import type {Status} from '@zlr/kernel-shim';
import {type Command, parse} from './command.js';
import {fetchAll} from './services.js';
import {reasonOf} from './status.js';
import {megabytes, since} from './words.js';

const PERIOD_MS = 1_000;
/** Ctrl-C and Ctrl-D are keys like others while each key is told. */
const LEAVING = ['q', '\x03', '\x04'];
/** Of /proc/PID/stat (man 5 proc), which Linux counts in hundredths of a second on every machine that Node runs on. */
const TICK_MS = 10;

export const top: Command = {
  name: 'top',
  usage: '',
  summary: 'watch all services: generations, channels, memory, faults',
  help: `Shows every service and worker of this user once a second, until q or Ctrl-C. Where it does not write to a terminal, it shows them once.

  GEN, PID, UP    the generation that serves, its process, and for how long
  STANDBY         the generation that stands by, in brackets while it is not ready
  CHAN            open listening sockets and connections
  CPU, RSS, HEAP  of the process; RSS and HEAP, and LATE, by how much its event loop was late, as it said last
  ENDED, LAST     how many generations have ended, by a fault or a restart; how the last one did, how long ago, and after how long the first
                  connection was served again`,

  async run(args) {
    parse('top', {args, options: {}});
    const sampler = new CpuSampler();
    if (!isatty(1)) {
      console.log(table(await look(sampler)));
      return 0;
    }
    const {stdin, stdout} = process;
    const leaving = new AbortController();
    const leave = (): void => leaving.abort();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, leave);
    if (stdin.isTTY) {
      stdin.setRawMode(true);
      stdin.on('data', keys => LEAVING.some(key => `${keys}`.includes(key)) && leave());
    }
    stdout.write('\x1b[?1049h\x1b[?25l'); // a screen of its own, without a cursor (man 4 console_codes)
    try {
      while (!leaving.signal.aborted) {
        const lines = table(await look(sampler)).split('\n');
        const {rows, columns} = stdout; // 0: the terminal does not know
        const seen = lines.slice(0, (rows || 25) - 1).map(line => line.slice(0, columns || 80));
        stdout.write(`\x1b[H${seen.join('\x1b[K\n')}\x1b[K\x1b[J`);
        await delay(PERIOD_MS, undefined, {signal: leaving.signal}).catch(() => {}); // it has been left
      }
    } finally {
      stdout.write('\x1b[?25h\x1b[?1049l');
      if (stdin.isTTY) stdin.setRawMode(false);
      stdin.destroy();
    }
    return 0;
  },
};

type Row = Status & {cpu: number | undefined};

async function look(sampler: CpuSampler): Promise<Row[]> {
  return (await fetchAll()).map(each => ({...each, cpu: sampler.sample(each.pid)}));
}

/** What share of a processor a process has used since it was last asked for. */
class CpuSampler {
  readonly #seen = new Map<number, {at: number; ticks: number}>();

  /** Percent; undefined: it has not been asked for before, or has gone. */
  sample(pid: number): number | undefined {
    const ticks = ticksOf(pid);
    const before = this.#seen.get(pid);
    const at = performance.now();
    if (ticks === undefined) this.#seen.delete(pid);
    else this.#seen.set(pid, {at, ticks});
    if (ticks === undefined || !before) return undefined;
    return ((ticks - before.ticks) * TICK_MS * 100) / (at - before.at);
  }
}

function ticksOf(pid: number): number | undefined {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    return Number(fields[11]) + Number(fields[12]); // utime, stime
  } catch {
    return undefined;
  }
}

const COLUMNS = [
  'NAME',
  'GEN',
  'PID',
  'UP',
  'STANDBY',
  'CHAN',
  'CPU',
  'RSS',
  'HEAP',
  'LATE',
  'ENDED',
  'LAST',
] as const;

function table(rows: readonly Row[]): string {
  const cells = [COLUMNS, ...rows.map(cellsOf)];
  const widths = COLUMNS.map((_, column) => Math.max(...cells.map(row => row[column]!.length)));
  const isText = (column: number): boolean => column === 0 || column === COLUMNS.length - 1;
  return cells
    .map(row =>
      row
        .map((cell, column) =>
          isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function cellsOf({
  name,
  generation,
  pid,
  startedAt,
  standby,
  channels,
  cpu,
  health,
  faults,
  faultCount,
}: Row): string[] {
  const last = faults.at(-1);
  const down = last?.downMs == null ? '' : `, back after ${last.downMs} ms`;
  const standing = standby?.isReady ? `${standby.generation}` : standby ? `(${standby.generation})` : '-';
  return [
    name,
    `${generation}`,
    `${pid}`,
    since(startedAt),
    standing,
    channels === null ? '?' : `${channels}`,
    cpu === undefined ? '-' : `${cpu.toFixed(0)} %`,
    health ? megabytes(health.rssBytes) : '-',
    health ? megabytes(health.heapBytes) : '-',
    health ? `${health.delayMs} ms` : '-',
    `${faultCount}`,
    last ? `${reasonOf(last)}, ${since(last.at)} ago${down}` : '-',
  ];
}
