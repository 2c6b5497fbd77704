// What is compared. Each gives run(n): n operations, keeping what they read so that nothing is optimized away.
import {mkdtempSync, rmSync} from 'node:fs';
import {join} from 'node:path';
import {openStore, struct, t} from '@zlr/state-store';

/** @typedef {{run: (n: number) => void, result?: () => unknown, close?: () => void}} Contender */

// 64 bytes. Plain objects get their fields in another order, else V8 shares hidden classes with the schema literal.
const Rec = struct('Rec', {
  a: t.u32,
  b: t.u32,
  x: t.f64,
  y: t.f64,
  n: t.uint,
  m: t.uint,
  c: t.u32,
  d: t.u32,
  z: t.f64,
  e: t.u32,
  f: t.u32,
});

/** @param {number} i */
const plain = i => ({x: i + 0.5, a: i, y: 0.25, b: i * 2, m: 0, n: i, z: 0, d: 0, c: 0, f: 0, e: 0});

/** @param {string} what @param {any} schema @param {number} bytes */
async function store(what, schema, bytes) {
  const opened = await openStore({
    name: `bench-${what}-${process.pid}`,
    backend: 'sysv',
    size: bytes + 2 ** 22,
    schema,
  });
  return {opened, close: () => opened.destroy()};
}

/** A walk over all records in an order the prefetcher does not know. @param {number} records */
function order(records) {
  const all = Uint32Array.from({length: records}, (_, i) => i);
  let state = 7;
  for (let i = records - 1; i > 0; i--) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const j = state % (i + 1);
    [all[i], all[j]] = [/** @type {number} */ (all[j]), /** @type {number} */ (all[i])];
  }
  return all;
}

/** @param {number} records */
async function filled(records) {
  const {opened, close} = await store('table', {table: t.table(Rec, {capacity: records + 1})}, records * 70);
  const table = /** @type {any} */ (opened.root).table;
  const handles = Array.from({length: records}, (_, i) => table.insert(plain(i)));
  return {opened, table, handles, close};
}

/** @param {number} i */
const key = i => `user:${(i * 7919) % 1_000_003}:session${i % 10}`;
/** A key as it comes from the outside: a string object nobody has seen. */
const keys = (/** @type {number} */ records, wide = false) => {
  const texts = Array.from({length: records}, (_, i) => (wide ? `用户:${key(i)}` : key(i)));
  const bytes = Buffer.concat(texts.map(text => Buffer.from(text, wide ? 'utf16le' : 'latin1')));
  const ends = new Uint32Array(records + 1);
  for (let i = 0; i < records; i++)
    ends[i + 1] = /** @type {number} */ (ends[i]) + /** @type {string} */ (texts[i]).length * (wide ? 2 : 1);
  const slice = /** @type {any} */ (bytes);
  return {
    texts,
    fresh: (/** @type {number} */ i) =>
      wide ? slice.ucs2Slice(ends[i], ends[i + 1]) : slice.latin1Slice(ends[i], ends[i + 1]),
  };
};

/** lmdb on the tmpfs, without a disk behind it. @param {any} options */
async function lmdb(options = {}) {
  const {open} = await import('lmdb');
  const folder = mkdtempSync(join('/dev/shm', 'zlr-bench-lmdb-'));
  const db = open({path: folder, noSync: true, ...options});
  return {db, close: () => db.close().then(() => rmSync(folder, {recursive: true, force: true}))};
}

let sink = 0;

/** @type {Record<string, (records: number) => Contender | Promise<Contender>>} */
export const contenders = {
  // --- a field's get and set, records in random order
  'field: plain objects'(records) {
    const all = Array.from({length: records}, (_, i) => plain(i));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const record = /** @type {any} */ (all[/** @type {number} */ (walk[at])]);
          if (++at === records) at = 0;
          record.a = (record.a + 1) >>> 0;
          record.x += 0.5;
        }
      },
    };
  },
  async 'field: live records kept'(records) {
    const {handles, close} = await filled(records);
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const record = /** @type {any} */ (handles[/** @type {number} */ (walk[at])]);
          if (++at === records) at = 0;
          record.a = (record.a + 1) >>> 0;
          record.x += 0.5;
        }
      },
      close,
    };
  },
  async 'field: live records by id'(records) {
    const {table, handles, close} = await filled(records);
    const ids = Float64Array.from(handles, handle => handle.$id);
    handles.length = 0;
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const record = table.get(ids[/** @type {number} */ (walk[at])]);
          if (++at === records) at = 0;
          record.a = (record.a + 1) >>> 0;
          record.x += 0.5;
        }
      },
      close,
    };
  },
  'field: DataView'(records) {
    const view = new DataView(new ArrayBuffer(records * 64));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const base = /** @type {number} */ (walk[at]) * 64;
          if (++at === records) at = 0;
          view.setUint32(base, view.getUint32(base, true) + 1, true);
          view.setFloat64(base + 8, view.getFloat64(base + 8, true) + 0.5, true);
        }
      },
    };
  },
  // --- a scan over all records
  'scan: plain objects'(records) {
    const all = Array.from({length: records}, (_, i) => plain(i));
    return {
      run(n) {
        for (let done = 0; done < n; done += records) for (const record of all) sink += record.a + record.x;
      },
    };
  },
  'scan: typed arrays by hand'(records) {
    const buffer = new ArrayBuffer(records * 64);
    const [u32, f64] = [new Uint32Array(buffer), new Float64Array(buffer)];
    return {
      run(n) {
        for (let done = 0; done < n; done += records)
          for (let i = 0; i < records; i++)
            sink += /** @type {number} */ (u32[i * 16]) + /** @type {number} */ (f64[i * 8 + 1]);
      },
    };
  },
  async 'scan: table, for of'(records) {
    const {table, close} = await filled(records);
    return {
      run(n) {
        for (let done = 0; done < n; done += records) for (const record of table) sink += record.a + record.x;
      },
      close,
    };
  },
  async 'scan: table.scan'(records) {
    const {table, close} = await filled(records);
    return {
      run(n) {
        for (let done = 0; done < n; done += records)
          table.scan((/** @type {any} */ record) => {
            sink += record.a + record.x;
          });
      },
      close,
    };
  },
  // --- a string field's get
  'string: Buffer.toString'(records) {
    const buffer = Buffer.alloc(records * 64, 'a path of some thirty characters');
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          sink += buffer.toString('utf8', at * 64, at * 64 + 32).length;
          if (++at === records) at = 0;
        }
      },
    };
  },
  async 'string: variable field'(records) {
    const S = struct('S', {s: t.string()});
    const {opened, close} = await store('string', {table: t.table(S, {capacity: records})}, records * 120);
    const table = /** @type {any} */ (opened.root).table;
    const all = Array.from({length: records}, () => table.insert({s: 'a path of some thirty characters'}));
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          sink += all[at].s.length;
          if (++at === records) at = 0;
        }
      },
      close,
    };
  },
  async 'string: fixed field'(records) {
    const S = struct('S', {s: t.string(40)});
    const {opened, close} = await store('string', {table: t.table(S, {capacity: records})}, records * 120);
    const table = /** @type {any} */ (opened.root).table;
    const all = Array.from({length: records}, () => table.insert({s: 'a path of some thirty characters'}));
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          sink += all[at].s.length;
          if (++at === records) at = 0;
        }
      },
      close,
    };
  },
  // --- a transaction that writes four fields of one record
  async 'transaction: store'(records) {
    const {opened, handles, close} = await filled(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const record = handles[at];
          if (++at === records) at = 0;
          opened.transaction(() => {
            record.a = i;
            record.x = i + 0.5;
            record.n = i;
            record.c = i;
          });
        }
      },
      close,
    };
  },
  async 'transaction: lmdb'(records) {
    const {db, close} = await lmdb();
    for (let i = 0; i < records; i++) db.putSync(i, plain(i));
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          db.transactionSync(() => {
            const record = db.get(at);
            record.a = i;
            record.x = i + 0.5;
            record.n = i;
            record.c = i;
            db.put(at, record);
          });
          if (++at === records) at = 0;
        }
      },
      close,
    };
  },
  // --- one record out, one in
  'churn: object in an array'(records) {
    const all = Array.from({length: records}, (_, i) => plain(i));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          all[/** @type {number} */ (walk[at])] = plain(i);
          if (++at === records) at = 0;
        }
      },
    };
  },
  async 'churn: table'(records) {
    const {table, handles, close} = await filled(records);
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const slot = /** @type {number} */ (walk[at]);
          if (++at === records) at = 0;
          table.remove(handles[slot]);
          handles[slot] = table.insert(plain(i));
        }
      },
      close,
    };
  },
  // --- a map from strings to numbers
  ...Object.fromEntries(
    [false, true].flatMap(wide => {
      const kind = wide ? ', wide keys' : '';
      /** @type {[string, (records: number) => Contender | Promise<Contender>][]} */
      const all = [
        [
          `map get fresh${kind}: JS Map`,
          records => {
            const {texts, fresh} = keys(records, wide);
            const map = new Map(texts.map((text, i) => [text, i]));
            const walk = order(records);
            let at = 0;
            return {
              run(n) {
                for (let i = 0; i < n; i++) {
                  sink += map.get(fresh(/** @type {number} */ (walk[at]))) ?? 0;
                  if (++at === records) at = 0;
                }
              },
            };
          },
        ],
        [
          `map get fresh${kind}: store`,
          async records => {
            const {texts, fresh} = keys(records, wide);
            const {opened, close} = await store('map', {map: t.map(t.string(), t.uint)}, records * 400);
            const map = /** @type {any} */ (opened.root).map;
            texts.forEach((text, i) => map.set(text, i));
            const walk = order(records);
            let at = 0;
            return {
              run(n) {
                for (let i = 0; i < n; i++) {
                  sink += map.get(fresh(/** @type {number} */ (walk[at])));
                  if (++at === records) at = 0;
                }
              },
              close,
            };
          },
        ],
        [
          `map get same${kind}: JS Map`,
          records => {
            const {texts} = keys(records, wide);
            const map = new Map(texts.map((text, i) => [text, i]));
            const walk = order(records);
            let at = 0;
            return {
              run(n) {
                for (let i = 0; i < n; i++) {
                  sink += map.get(/** @type {string} */ (texts[/** @type {number} */ (walk[at])])) ?? 0;
                  if (++at === records) at = 0;
                }
              },
            };
          },
        ],
        [
          `map get same${kind}: store`,
          async records => {
            const {texts} = keys(records, wide);
            const {opened, close} = await store('map', {map: t.map(t.string(), t.uint)}, records * 400);
            const map = /** @type {any} */ (opened.root).map;
            texts.forEach((text, i) => map.set(text, i));
            const walk = order(records);
            let at = 0;
            return {
              run(n) {
                for (let i = 0; i < n; i++) {
                  sink += map.get(texts[/** @type {number} */ (walk[at])]);
                  if (++at === records) at = 0;
                }
              },
              close,
            };
          },
        ],
      ];
      return all;
    }),
  ),
  async 'map get fresh: lmdb'(records) {
    const {texts, fresh} = keys(records);
    const {db, close} = await lmdb({encoding: 'msgpack'});
    db.transactionSync(() => texts.forEach((text, i) => void db.put(text, i)));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          sink += db.get(fresh(/** @type {number} */ (walk[at])));
          if (++at === records) at = 0;
        }
      },
      close,
    };
  },
  'map delete and put: JS Map'(records) {
    const {texts} = keys(records);
    const map = new Map(texts.map((text, i) => [text, i]));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const text = /** @type {string} */ (texts[/** @type {number} */ (walk[at])]);
          map.delete(text);
          map.set(text, i);
          if (++at === records) at = 0;
        }
      },
    };
  },
  async 'map delete and put: store'(records) {
    const {texts} = keys(records);
    const {opened, close} = await store('map', {map: t.map(t.string(), t.uint)}, records * 400);
    const map = /** @type {any} */ (opened.root).map;
    texts.forEach((text, i) => map.set(text, i));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        for (let i = 0; i < n; i++) {
          const text = texts[/** @type {number} */ (walk[at])];
          map.delete(text);
          map.set(text, i);
          if (++at === records) at = 0;
        }
      },
      close,
    };
  },
  async 'map delete and put: lmdb'(records) {
    const {texts} = keys(records);
    const {db, close} = await lmdb({encoding: 'msgpack'});
    db.transactionSync(() => texts.forEach((text, i) => void db.put(text, i)));
    const walk = order(records);
    let at = 0;
    return {
      run(n) {
        db.transactionSync(() => {
          for (let i = 0; i < n; i++) {
            const text = /** @type {string} */ (texts[/** @type {number} */ (walk[at])]);
            db.removeSync(text);
            db.putSync(text, i);
            if (++at === records) at = 0;
          }
        });
      },
      close,
    };
  },
};
for (const [name, make] of Object.entries(contenders))
  contenders[name] = async records => {
    const made = await make(records);
    return {...made, result: () => sink};
  };
