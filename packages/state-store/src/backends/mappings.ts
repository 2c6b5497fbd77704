import {readFileSync} from 'node:fs';

/**
 * Where a segment is mapped in this process, as the kernel tells it: the mapping of a SysV segment has its id as its inode
 * number, that of a file the path.
 */
export function mappings(isIt: (inode: number, path: string) => boolean): bigint[] {
  const found: bigint[] = [];
  for (const line of readFileSync('/proc/self/maps', 'utf8').split('\n')) {
    const [range = '', , offset = '', , inode, ...path] = line.split(/\s+/);
    if (Number.parseInt(offset, 16) === 0 && isIt(Number(inode), path.join(' ')))
      found.push(BigInt(`0x${range.split('-')[0]}`));
  }
  return found;
}

/** The first segment of a boot or of a container has id 0, and so has the inode of every mapping that is of no file. */
export function isSegment(id: number, inode: number, path: string): boolean {
  return inode === id && path.startsWith('/SYSV');
}
