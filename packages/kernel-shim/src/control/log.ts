import {
  appendFileSync,
  closeSync,
  existsSync,
  type FSWatcher,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  watch,
} from 'node:fs';
import {join} from 'node:path';
import {assertPrivate, notRunning, type RunDir, runDir} from './run-dir.js';

/** What a supervisor has said. */
export interface LogLine {
  /** ISO 8601. */
  at: string;
  text: string;
}

/** The older half is given up then. */
const HALF_BYTES = 1 << 18;

const file = (dir: RunDir): string => join(dir.path, 'log.jsonl');
const older = (dir: RunDir): string => `${file(dir)}.1`;

/** What a supervisor says, in its run folder, for whoever comes later; bounded. */
export class Log {
  readonly #dir: RunDir;
  #lines = '';

  constructor(dir: RunDir) {
    this.#dir = dir;
  }

  /** Behind what clients wait for. */
  write(text: string): void {
    const line: LogLine = {at: new Date().toISOString(), text};
    if (this.#lines === '') setImmediate(() => this.flush());
    this.#lines += `${JSON.stringify(line)}\n`;
  }

  /** What cannot be written has been said all the same, and a full disk is no reason for more. */
  flush(): void {
    const lines = this.#lines;
    this.#lines = '';
    if (lines === '') return;
    try {
      const size = statSync(file(this.#dir), {throwIfNoEntry: false})?.size ?? 0;
      if (size > 0 && size + lines.length > HALF_BYTES) renameSync(file(this.#dir), older(this.#dir));
      appendFileSync(file(this.#dir), lines, {mode: 0o600});
    } catch {
      // As above.
    }
  }
}

/** Reads what the supervisor of a service that runs has said, and what it says from then on. */
export class LogReader {
  readonly #dir: RunDir;
  #fd = -1;
  #offset = 0;
  #watcher: FSWatcher | undefined;

  /** @throws ShimError NAME_INVALID, RUN_DIR_UNSAFE, NOT_RUNNING */
  constructor(name: string) {
    this.#dir = runDir(name);
    assertPrivate(this.#dir);
    if (!existsSync(this.#dir.path)) throw notRunning(name);
  }

  /** The first time the latest lines, at least 256 KB of them if there are so many; then those that have come since. */
  read(): LogLine[] {
    if (this.#fd < 0) return [...parse(readIfThere(older(this.#dir))), ...this.#readNext()];
    return [...this.#readOn(), ...(this.#isCurrent() ? [] : this.#readNext())];
  }

  /** Calls `changed` when there may be more, and `gone` once, when the service has ended. */
  watch(changed: () => void, gone: () => void): void {
    this.#watcher = watch(this.#dir.path, () => {
      changed();
      if (existsSync(this.#dir.path)) return;
      this.close();
      gone();
    });
  }

  close(): void {
    this.#watcher?.close();
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #isCurrent(): boolean {
    return statSync(file(this.#dir), {throwIfNoEntry: false})?.ino === fstatSync(this.#fd).ino;
  }

  #readNext(): LogLine[] {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
    this.#offset = 0;
    try {
      this.#fd = openSync(file(this.#dir), 'r');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error; // nothing has been said yet
      return [];
    }
    return this.#readOn();
  }

  /** Whole lines: the rest of another may be on its way. */
  #readOn(): LogLine[] {
    const bytes = Buffer.alloc(Math.max(0, fstatSync(this.#fd).size - this.#offset));
    const length = readSync(this.#fd, bytes, 0, bytes.length, this.#offset);
    const whole = bytes.subarray(0, length).lastIndexOf('\n') + 1;
    this.#offset += whole;
    return parse(bytes.toString('utf8', 0, whole));
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return '';
  }
}

function parse(text: string): LogLine[] {
  return text.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as LogLine];
    } catch {
      return []; // no line, or one that a full disk has cut
    }
  });
}
