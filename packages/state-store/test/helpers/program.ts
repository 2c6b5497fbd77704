import {type Store, struct, t} from '../../src/index.js';

/*
 * A random program over every type and every collection, together with a model of plain objects. Which operation comes
 * next depends on the seed and the model alone, so a second process can replay the model to any step.
 */
export const Note = struct('Note', {stars: t.u8, text: t.string()});
export const Item = struct('Item', {
  key: t.u32,
  kind: t.enum('plain', 'fancy', 'odd'),
  flag: t.bool,
  small: t.i16,
  total: t.uint,
  big: t.u64,
  signed: t.i64,
  weight: t.f64,
  name: t.string(),
  tag: t.string(12),
  blob: t.bytes(),
  digest: t.bytes(3),
  seen: t.timestamp,
  limit: t.u16.optional(),
  label: t.string().optional(),
  note: Note,
  body: t.union({none: t.u8, text: t.string(), note: Note}),
  grades: t.array(t.u16, 5),
  words: t.array(t.string(), 2),
});
export const Link = struct('Link', {key: t.u32, to: t.ref(() => Item)});

export const schema = {
  step: t.uint,
  items: t.table(Item, {capacity: 24}),
  links: t.table(Link),
  counts: t.map(t.string(), t.uint),
  notes: t.map(t.u32, Note),
  bytes: t.map(t.bytes(), t.string()),
  stack: t.vector(t.u32),
  texts: t.vector(t.string()),
  log: t.ring(Note, 5),
  tail: t.ring(t.u16, 7),
  queue: t.list(t.string()),
  scores: t.sorted(t.i32, Note),
  names: t.sorted(t.string(), t.u8),
  best: Note,
};
export type ProgramStore = Store<typeof schema>;

type NoteData = {stars: number; text: string};

export interface Model {
  step: number;
  items: Map<number, Record<string, unknown>>;
  links: Map<number, number | null>;
  counts: Map<string, number>;
  notes: Map<number, NoteData>;
  bytes: Map<string, string>;
  stack: number[];
  texts: string[];
  log: NoteData[];
  tail: number[];
  queue: string[];
  scores: Map<number, NoteData>;
  names: Map<string, number>;
  best: NoteData;
}

export function emptyModel(): Model {
  return {
    step: 0,
    items: new Map(),
    links: new Map(),
    counts: new Map(),
    notes: new Map(),
    bytes: new Map(),
    stack: [],
    texts: [],
    log: [],
    tail: [],
    queue: [],
    scores: new Map(),
    names: new Map(),
    best: {stars: 0, text: ''},
  };
}

/** A small generator with a printable seed (mulberry32). */
export class Random {
  constructor(private state: number) {}
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let x = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }
  below(n: number): number {
    return Math.floor(this.next() * n);
  }
  pick<V>(from: readonly V[]): V {
    return from[this.below(from.length)]!;
  }
  text(): string {
    const length = this.pick([0, 1, 3, 4, 7, 12, 20, 27, 28, 29, 40, 90, 300]);
    const alphabet = this.pick(['ab', 'abcdefghij', 'aé\xff', 'aλ漢', '\ud800x']);
    return Array.from({length}, () => this.pick([...alphabet])).join('');
  }
  bytes(length = this.below(40)): Uint8Array {
    return Uint8Array.from({length}, () => this.below(256));
  }
}

function note(r: Random): NoteData {
  return {stars: r.below(256), text: r.text()};
}

function item(r: Random, key: number): Record<string, unknown> {
  return {
    key,
    kind: r.pick(['plain', 'fancy', 'odd']),
    flag: r.next() < 0.5,
    small: r.below(65536) - 32768,
    total: Math.floor(r.next() * 2 ** r.below(54)),
    big: BigInt(Math.floor(r.next() * 2 ** 53)) * 2047n,
    signed: -BigInt(Math.floor(r.next() * 2 ** 53)) * 1000n,
    weight: r.next() * 2 ** (r.below(200) - 100),
    name: r.text(),
    tag: r.pick(['', 'tag', 'ééé', '漢漢漢漢', 'twelve bytes']),
    blob: r.bytes(),
    digest: r.bytes(3),
    seen: new Date(r.below(2 ** 31) * 1000 - 2 ** 39),
    limit: r.next() < 0.5 ? null : r.below(65536),
    label: r.next() < 0.5 ? null : r.text(),
    note: note(r),
    body: body(r),
    grades: Array.from({length: 5}, () => r.below(65536)),
    words: [r.text(), r.text()],
  };
}

function body(r: Random): unknown {
  return r.pick([
    () => ({tag: 'none', value: r.below(256)}),
    () => ({tag: 'text', value: r.text()}),
    () => ({tag: 'note', value: note(r)}),
  ])();
}

function recordOf(store: ProgramStore, key: number) {
  for (const record of store.root.items) if (record.key === key) return record;
  throw new Error(`no item ${key}`);
}

/** One change, drawn with `r`, made to the model and, if given, to the store. */
function change(m: Model, r: Random, store: ProgramStore | undefined): void {
  const root = store?.root;
  const free = (map: Map<number, unknown>) => {
    let key = r.below(1000);
    while (map.has(key)) key++;
    return key;
  };
  const operations: (() => void)[] = [
    () => {
      if (m.items.size >= 24) return;
      const data = item(r, free(m.items));
      m.items.set(data['key'] as number, data);
      root?.items.insert(data as never);
    },
    () => {
      if (m.items.size < 8) return;
      const key = r.pick([...m.items.keys()]);
      m.items.delete(key);
      for (const [link, to] of m.links) if (to === key) m.links.set(link, null);
      if (store) root!.items.remove(recordOf(store, key));
    },
    () => {
      if (m.items.size === 0) return;
      const key = r.pick([...m.items.keys()]);
      const fresh = item(r, key);
      const fields = Object.keys(fresh).filter(field => field !== 'key' && r.next() < 0.3);
      for (const field of fields) m.items.get(key)![field] = fresh[field];
      if (store)
        Object.assign(recordOf(store, key), Object.fromEntries(fields.map(field => [field, fresh[field]])));
    },
    () => {
      const key = free(m.links);
      const to = m.items.size === 0 ? null : r.pick([...m.items.keys(), null]);
      if (m.links.size > 150) return;
      m.links.set(key, to);
      root?.links.insert({key, to: to === null ? null : recordOf(store!, to)});
    },
    () => {
      if (m.links.size === 0) return;
      const key = r.pick([...m.links.keys()]);
      m.links.delete(key);
      if (root) for (const link of root.links) if (link.key === key) root.links.remove(link);
    },
    () => {
      const key =
        m.counts.size > 0 && r.next() < 0.3 ? r.pick([...m.counts.keys()]) : `${r.text()}${r.below(400)}`;
      const value = Math.floor(r.next() * 2 ** 53);
      m.counts.set(key, value);
      root?.counts.set(key, value);
    },
    () => {
      if (m.counts.size === 0) return;
      const key = r.pick([...m.counts.keys()]);
      m.counts.delete(key);
      root?.counts.delete(key);
    },
    () => {
      if (r.next() > 0.01) return;
      m.counts.clear();
      root?.counts.clear();
    },
    () => {
      const key = r.below(60);
      const value = note(r);
      m.notes.set(key, value);
      root?.notes.set(key, value);
    },
    () => {
      const key = r.below(60);
      m.notes.delete(key);
      root?.notes.delete(key);
    },
    () => {
      const key = r.bytes();
      const text = r.text();
      if (m.bytes.size > 100) return;
      m.bytes.set(Buffer.from(key).toString('hex'), text);
      root?.bytes.set(key, text);
    },
    () => {
      if (m.bytes.size === 0) return;
      const key = r.pick([...m.bytes.keys()]);
      m.bytes.delete(key);
      root?.bytes.delete(Buffer.from(key, 'hex'));
    },
    () => {
      const values = Array.from({length: r.below(4)}, () => r.below(2 ** 32));
      m.stack.push(...values);
      root?.stack.push(...values);
    },
    () => {
      const expected = m.stack.pop();
      if (root && root.stack.pop() !== expected) throw new Error('stack.pop differs');
    },
    () => {
      const what = r.below(4);
      if (m.texts.length === 0 || what < 2) {
        const text = r.text();
        m.texts.push(text);
        root?.texts.push(text);
      } else if (what === 2) {
        const i = r.below(m.texts.length);
        const text = r.text();
        m.texts[i] = text;
        root?.texts.set(i, text);
      } else {
        const expected = m.texts.pop();
        if (root && root.texts.pop() !== expected) throw new Error('texts.pop differs');
      }
    },
    () => {
      const value = note(r);
      m.log.push(value);
      if (m.log.length > 5) m.log.shift();
      root?.log.push(value);
    },
    () => {
      const value = r.below(65536);
      m.tail.push(value);
      if (m.tail.length > 7) m.tail.shift();
      root?.tail.push(value);
    },
    () => {
      const text = r.text();
      if (r.next() < 0.5) {
        m.queue.push(text);
        root?.queue.push(text);
      } else {
        m.queue.unshift(text);
        root?.queue.unshift(text);
      }
    },
    () => {
      if (m.queue.length === 0) return;
      const i = r.below(m.queue.length);
      const what = r.below(3);
      const text = r.text();
      if (what === 0) m.queue.splice(i, 1);
      else m.queue.splice(what === 1 ? i + 1 : i, 0, text);
      if (!root) return;
      const id = [...root.queue.entries()][i]![0];
      if (what === 0) root.queue.remove(id);
      else if (what === 1) root.queue.insertAfter(id, text);
      else root.queue.insertBefore(id, text);
    },
    () => {
      const [expected, end] =
        r.next() < 0.5 ? [m.queue.pop(), 'pop' as const] : [m.queue.shift(), 'shift' as const];
      if (root && root.queue[end]() !== expected) throw new Error(`queue.${end} differs`);
    },
    () => {
      const key = r.below(200) - 100;
      const value = note(r);
      m.scores.set(key, value);
      root?.scores.set(key, value);
    },
    () => {
      const key = r.below(200) - 100;
      m.scores.delete(key);
      root?.scores.delete(key);
    },
    () => {
      const key = r.text();
      const value = r.below(256);
      m.names.set(key, value);
      root?.names.set(key, value);
    },
    () => {
      if (m.names.size === 0) return;
      const key = r.pick([...m.names.keys()]);
      m.names.delete(key);
      root?.names.delete(key);
    },
    () => {
      m.best = note(r);
      if (root) root.best = m.best as never;
    },
  ];
  r.pick(operations)();
}

class Undone extends Error {}

function clone(m: Model): Model {
  return structuredClone(m);
}

/** Step number `m.step + 1`: one transaction of one to four changes; one in eight is thrown away at its end. Returns the new model. */
export function step(m: Model, seed: number, store?: ProgramStore): Model {
  const r = new Random(Math.imul(m.step + 1, 0x9e3779b1) ^ seed);
  const thrown = r.next() < 1 / 8;
  const changes = 1 + r.below(4);
  const next = clone(m);
  next.step++;
  const run = () => {
    for (let i = 0; i < changes; i++) change(next, r, store);
    if (store) store.root.step = next.step;
    if (thrown) throw new Undone();
  };
  try {
    if (store) store.transaction(run);
    else run();
  } catch (error) {
    if (!(error instanceof Undone)) throw error;
  }
  if (!thrown) return next;
  if (store) store.root.step = next.step;
  return {...clone(m), step: next.step};
}

/** What the store holds, in the form of the model. */
export function modelOf(store: ProgramStore): Model {
  const {root} = store;
  const json = store.toJSON();
  const strip = ({$id: _id, ...data}: Record<string, unknown>) => data;
  return {
    step: json.step as number,
    items: new Map((json.items as never[]).map(i => [(i as {key: number}).key, strip(i)])),
    links: new Map([...root.links].map(l => [l.key, l.to?.key ?? null])),
    counts: new Map(root.counts),
    notes: new Map([...root.notes].map(([k, v]) => [k, v.toJSON()])),
    bytes: new Map([...root.bytes].map(([k, v]) => [Buffer.from(k).toString('hex'), v])),
    stack: [...root.stack],
    texts: [...root.texts],
    log: [...root.log].map(v => v.toJSON()),
    tail: [...root.tail],
    queue: [...root.queue],
    scores: new Map([...root.scores].map(([k, v]) => [k, v.toJSON()])),
    names: new Map(root.names),
    best: root.best.toJSON(),
  };
}

function sorted<K, V>(map: Map<K, V>): [K, V][] {
  return [...map].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** A form in which two models can be compared with deepEqual, whatever the order of their maps. */
export function canonical(m: Model): object {
  return {
    ...m,
    items: sorted(m.items),
    links: sorted(m.links),
    counts: sorted(m.counts),
    notes: sorted(m.notes),
    bytes: sorted(m.bytes),
    scores: sorted(m.scores),
    names: sorted(m.names),
  };
}
