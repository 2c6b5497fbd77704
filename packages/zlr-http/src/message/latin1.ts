/**
 * Octets to text and back, one character an octet. These two methods of Buffer are what its toString and write call
 * after sorting out their arguments, half of the time a short text takes; the type definitions leave them out.
 */
interface Latin1Buffer {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, start: number, length: number): number;
}

export function readLatin1(memory: Buffer, start: number, end: number): string {
  return (memory as Buffer & Latin1Buffer).latin1Slice(start, end);
}

/** Returns the number of octets written: the text's length, as long as it fits. */
export function writeLatin1(memory: Buffer, at: number, text: string): number {
  return (memory as Buffer & Latin1Buffer).latin1Write(text, at, text.length);
}
