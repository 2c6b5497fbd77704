import {mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {basename, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import type {ExecutionContext} from 'ava';

const packages = fileURLToPath(new URL('../../../../node_modules/@zlr', import.meta.url));
let nextNumber = 1;

/** A copy of an example whose state has a name of its own, so that two runs on one machine keep out of each other's. */
export function ownExample(t: ExecutionContext, path: string): string {
  const code = readFileSync(path, 'utf8');
  const ownName = `example-${process.pid}-${nextNumber++}`;
  const changed = code.replace(/name: '[a-z]+'/, `name: '${ownName}'`);
  if (changed === code) throw new Error(`${path} names no state`);
  const folder = mkdtempSync(join(tmpdir(), 'zlr-example-'));
  t.teardown(() => rmSync(folder, {recursive: true}));
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(packages, join(folder, 'node_modules/@zlr'));
  const copy = join(folder, basename(path));
  writeFileSync(copy, changed);
  return copy;
}
