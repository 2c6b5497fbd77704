import {Memory} from '../../src/segment/memory.js';

/** Thrown when more was read than a bound: what would run for ever ends at once, and is no StoreError. */
export class TooManySteps extends Error {
  constructor(most: number) {
    super(`more than ${most} reads of the segment`);
  }
}

const VIEWS = ['u8', 'u16', 'u32', 'f64', 'u64'] as const;

/** A memory that counts how often it is read, element by element, and by the atomic way. */
export class CountingMemory extends Memory {
  declare reads: number;
  declare most: number;

  constructor(bytes: Uint8Array, most: number) {
    super(bytes);
    this.most = most;
    this.reads = 0;
  }

  override attach(bytes: Uint8Array): void {
    super.attach(bytes);
    const real = new Map<object, object>();
    const step = () => {
      if (++this.reads > this.most) throw new TooManySteps(this.most);
    };
    for (const name of VIEWS) {
      const view = this[name];
      const counted = new Proxy(view, {
        get(target, key) {
          if (typeof key === 'string' && key.charCodeAt(0) < 58) step(); // a digit: an element
          const value = Reflect.get(target, key, target) as unknown;
          return typeof value === 'function' && key !== 'constructor' ? value.bind(target) : value;
        },
        set: (target, key, value) => Reflect.set(target, key, value, target),
      });
      real.set(counted, view);
      Object.defineProperty(this, name, {value: counted, configurable: true, writable: true});
    }
    const bare = (array: object) => real.get(array) ?? array;
    this.atomics = {
      load: (array: object, index: number) => {
        step();
        return Atomics.load(bare(array) as Uint32Array, index);
      },
      store: (array: object, index: number, value: number) =>
        Atomics.store(bare(array) as Uint32Array, index, value),
      compareExchange: (array: object, index: number, expected: number, value: number) =>
        Atomics.compareExchange(bare(array) as Uint32Array, index, expected, value),
    } as unknown as Memory['atomics'];
    for (const listener of (this as unknown as {listeners?: (() => void)[]}).listeners ?? []) listener();
  }
}
