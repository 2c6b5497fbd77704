import {readFileSync, renameSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import type {RunDir} from './run-dir.js';
import type {FaultRecord} from './status.js';

/** What a supervisor leaves to the next one. */
export interface History {
  faults: FaultRecord[];
  faultCount: number;
}

const file = (dir: RunDir): string => join(dir.path, 'history.json');

export function writeHistory(dir: RunDir, history: History): void {
  const fresh = `${file(dir)}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify(history));
  renameSync(fresh, file(dir));
}

/** Nothing, where nothing that can be read was left. */
export function readHistory(dir: RunDir): History {
  try {
    const {faults, faultCount} = JSON.parse(readFileSync(file(dir), 'utf8')) as Partial<History>;
    if (Array.isArray(faults) && typeof faultCount === 'number') return {faults, faultCount};
  } catch {
    // Whatever is wrong with it: the past is no reason not to go on.
  }
  return {faults: [], faultCount: 0};
}
