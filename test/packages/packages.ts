/* All packages, packed once for the whole file, and a registry that serves them. */
import {mkdtempSync, readdirSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test from 'ava';
import {type Packed, packAll, type Registry, serve, unpack} from './packed.js';

export const made = mkdtempSync(join(tmpdir(), 'zlr-packed-'));
export let packages: Packed[];
export let registry: Registry;

test.before(async () => {
  packages = await packAll(made);
  registry = await serve(packages);
});
test.after.always(() => {
  registry?.close();
  rmSync(made, {recursive: true});
});

export function packed(name: string): Packed {
  return packages.find(each => each.manifest.name === name)!;
}

/** The unpacked files of a package, by path. */
export async function filesOf(name: string): Promise<{folder: string; files: string[]}> {
  const to = mkdtempSync(join(made, 'files-'));
  await unpack(packed(name), to);
  const folder = join(to, 'package');
  const files = readdirSync(folder, {recursive: true, withFileTypes: true})
    .filter(each => each.isFile())
    .map(each => join(each.parentPath, each.name).slice(folder.length + 1));
  return {folder, files};
}
