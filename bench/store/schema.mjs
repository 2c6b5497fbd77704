import {openStore, struct, t} from '@zlr/state-store';
import {row} from './rows.mjs';

/** 64 bytes. */
export const Row = struct('Row', {
  hits: t.u32,
  misses: t.u32,
  balance: t.f64,
  bytes: t.uint,
  seen: t.uint,
  score: t.f64,
  weight: t.f64,
  limit: t.f64,
  kind: t.u32,
  flags: t.u32,
});

/**
 * A store with a table of `records` rows in shared memory.
 * @param {import('./measured.mjs').Place} place @param {number} records @param {number} [spare]
 */
export async function openRows({name, defer}, records, spare = 0) {
  const store = await openStore({
    name,
    size: records * 80 + 2 ** 22,
    schema: {rows: t.table(Row, {capacity: records + spare})},
  });
  defer(() => store.destroy());
  const {rows} = store.root;
  const kept = Array.from({length: records}, (_, i) => rows.insert(row(i)));
  return {store, rows, kept, ids: kept.map(each => each.$id)};
}
