import {fstatSync, readSync} from 'node:fs';

/** As native/addon/addon_hang.c writes it at most. */
const SIZE_MAX = 16_384;
const FRAMES_MAX = 30;

/** The frames in a memfd that a generation sent, a line each, whatever else it may hold. */
export function readStack(fd: number): string[] {
  try {
    if (!fstatSync(fd).isFile()) return []; // which might have to be waited for
    const bytes = Buffer.alloc(SIZE_MAX);
    const text = bytes.toString('utf8', 0, readSync(fd, bytes, 0, SIZE_MAX, 0));
    // What a service says is shown to people: it must not steer their terminals.
    const lines = text.replace(/[^\n\x20-\x7e\u00a0-\uffff]/g, '?').split('\n');
    return lines.filter(line => line !== '').slice(0, FRAMES_MAX);
  } catch {
    return []; // nothing came with the word, or it cannot be read
  }
}
