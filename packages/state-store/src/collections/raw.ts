import {StoreError, show} from '../errors.js';
import type {TypeDescription} from '../schema/type.js';
import type {Builder} from '../segment/builder.js';
import type {Engine} from '../segment/engine.js';
import {CELL} from '../segment/memory.js';
import {CollectionType} from './collection.js';

const PAGE = 4096;

/**
 * A page-aligned region whose value is a live Buffer over the segment, outside every transaction: memory whose owner
 * orders its own writes. Head, 1 cell in the root record: u32 first cell | u32 cells.
 */
export class RawType extends CollectionType<Buffer> {
  override readonly kind = 'raw';
  override readonly lasting: readonly number[] = [0, 1];
  override readonly size = CELL;
  constructor(readonly bytes: number) {
    super();
    if (!Number.isSafeInteger(bytes) || bytes < 1)
      throw new StoreError('ERR_SCHEMA', `t.raw(${show(bytes)}): expected a number of bytes, 1 or more.`);
  }
  override describe(): TypeDescription {
    return {kind: 'raw', size: this.size, length: this.bytes};
  }
  override build(builder: Builder, head: number): void {
    const cells = Math.ceil(this.bytes / CELL);
    const {u32} = builder.memory;
    u32[head * 2] = builder.reserve(cells, `t.raw(${this.bytes})`, PAGE);
    u32[head * 2 + 1] = cells;
  }
  override plain(value: Buffer): Buffer {
    return Buffer.from(value);
  }
  override open(engine: Engine, head: number, path: string): Buffer {
    const {u32, buffer} = engine.memory;
    engine.assertInside(path, u32[head * 2]!, Math.ceil(this.bytes / CELL));
    const start = u32[head * 2]! * CELL;
    return buffer.subarray(start, start + this.bytes);
  }
}
