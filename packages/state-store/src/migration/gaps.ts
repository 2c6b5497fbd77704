import {StoreError} from '../errors.js';

/** What could not be carried over and is left to `migrate`: nothing of it may be forgotten. */
export class Gaps {
  /** Why, by the byte that the field begins at. */
  private readonly fields = new Map<number, string>();
  private readonly collections: {why: string; filled: () => boolean}[] = [];
  private filled: Set<number> | undefined;

  /** A field was written, or its record was removed. */
  readonly written = (byte: number): void => {
    if (this.filled) this.filled.add(byte);
    else this.fields.delete(byte); // another record took the place
  };

  leave(byte: number, why: string): void {
    this.fields.set(byte, why);
  }

  expect(why: string, filled: () => boolean): void {
    this.collections.push({why, filled});
  }

  /** `migrate` begins, for the second time perhaps: what it wrote the first time was undone. */
  begin(): void {
    this.filled = new Set();
  }

  /** @throws StoreError ERR_VALUE: `migrate` left something empty */
  assertFilled(): void {
    const left = [...this.fields].filter(([byte]) => !this.filled!.has(byte)).map(([, why]) => why);
    left.push(...this.collections.filter(each => !each.filled()).map(({why}) => why));
    const [first] = left;
    if (first === undefined) return;
    const more = left.length === 1 ? '' : ` So it is with ${left.length - 1} more.`;
    throw new StoreError(
      'ERR_VALUE',
      `migrate left empty what could not be carried over: ${first}${more} Assign it there, or name it in drop. The store was left as it was.`,
    );
  }
}
