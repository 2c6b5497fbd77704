/** A list that is emptied as often as it is filled: it keeps its memory, which `length = 0` would give back each time. */
export class Pile<T> {
  readonly #items: T[] = [];
  #count = 0;

  push(item: T): void {
    this.#items[this.#count++] = item;
  }

  clear(): void {
    this.#count = 0;
  }

  each(work: (item: T) => void): void {
    for (let at = 0; at < this.#count; at++) work(this.#items[at]!);
  }
}
