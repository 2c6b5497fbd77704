// A store goes on under another schema: what it held is carried over, ids and refs included, or nothing is changed.
import test from 'ava';
import {openStore, readStore, type Schema, type SortedMap, struct, t as ty} from '../src/index.js';
import {BACKENDS, fresh, freshName, pathOf, SHARED_BACKENDS} from './helpers/stores.js';

const Peer = struct('Peer', {host: ty.string(20), hits: ty.u16, mood: ty.enum('good', 'bad'), old: ty.u8});
const Conn = struct('Conn', {
  fd: ty.i32,
  sent: ty.u32,
  path: ty.string(),
  peer: ty.ref(() => Peer),
  note: ty.string().optional(),
  sizes: ty.array(ty.u16, 3),
});
const before = {
  conns: ty.table(Conn, {capacity: 8}),
  peers: ty.table(Peer),
  count: ty.u32,
  gone: ty.u8,
  hits: ty.map(ty.string(), ty.u32),
  stack: ty.vector(ty.u8),
  log: ty.ring(Peer, 3),
  queue: ty.list(ty.string()),
  order: ty.sorted(ty.u32, ty.string()),
  area: ty.raw(64),
};

// Reordered, widened, renamed, added, removed; enum names added; tables numbered otherwise.
const Peer2 = struct('Peer', {
  mood: ty.enum('fair', 'good', 'bad'),
  host: ty.string(),
  hits: ty.u64,
  since: ty.timestamp,
});
const Conn2 = struct('Conn', {
  peer: ty.ref(() => Peer2),
  bytesSent: ty.uint,
  fd: ty.i64,
  path: ty.string(),
  note: ty.string(50).optional(),
  sizes: ty.array(ty.f64, 3),
});
const after = {
  extra: ty.table(Conn2),
  machines: ty.table(Peer2),
  conns: ty.table(Conn2),
  total: ty.uint,
  hits: ty.map(ty.string(), ty.uint),
  stack: ty.vector(ty.u32),
  log: ty.ring(Peer2, 5),
  queue: ty.list(ty.string(50)),
  order: ty.sorted(ty.f64, ty.string()),
  area: ty.raw(128),
};
const change = {
  schema: after,
  renames: {'Conn.bytesSent': 'sent', machines: 'peers', total: 'count'},
  drop: ['gone', 'Peer.old'],
};

async function filled(t: import('ava').ExecutionContext, backend: (typeof BACKENDS)[number], name: string) {
  const store = await fresh(t, backend, before, {name});
  const {root} = store;
  const peers = ['a', 'b', 'c'].map((host, i) =>
    root.peers.insert({host, hits: i, mood: i === 1 ? 'bad' : 'good'}),
  );
  const conns = [3, 4, 5].map((fd, i) =>
    root.conns.insert({
      fd,
      sent: fd * 1000,
      path: `/é${i}`,
      peer: peers[i]!,
      note: i === 0 ? null : `note ${i}`,
      sizes: [1, 2, i],
    }),
  );
  const gone = conns[1]!.$id;
  root.conns.remove(conns[1]!);
  root.peers.remove(peers[2]!);
  root.count = 9;
  root.hits.set('x', 1).set('λ', 2);
  root.stack.push(1, 2, 3);
  for (const host of ['l1', 'l2', 'l3', 'l4']) root.log.push({host});
  root.queue.push('q1');
  root.queue.push('q2');
  root.order.set(7, 'seven').set(3, 'three');
  root.area.write('raw');
  const ids = {conn: conns[2]!.$id, gone, peer: peers[0]!.$id, first: conns[0]!.$id};
  store.close();
  return ids;
}

for (const backend of BACKENDS) {
  test(`${backend}: another schema takes over what there was`, async t => {
    const name = freshName();
    const ids = await filled(t, backend, name);
    const where = {name, backend, ...pathOf(name, backend)} as const;
    const store = await openStore({...where, ...change});
    const {root} = store;
    t.deepEqual(store.check().problems, []);
    t.is(root.conns.get(ids.gone), undefined);
    t.deepEqual(root.conns.get(ids.conn)!.toJSON(), {
      peer: null,
      bytesSent: 5000,
      fd: 5n,
      path: '/é2',
      note: 'note 2',
      sizes: [1, 2, 2],
    });
    const first = root.conns.get(ids.first)!;
    t.is(first.note, null);
    t.is(first.peer!.$id, ids.peer);
    t.deepEqual(first.peer!.toJSON(), {mood: 'good', host: 'a', hits: 0n, since: new Date(0)});
    t.is(root.total, 9);
    t.deepEqual([...root.hits].sort(), [
      ['x', 1],
      ['λ', 2],
    ]);
    t.deepEqual([...root.stack], [1, 2, 3]);
    t.deepEqual(
      [...root.log].map(l => l.host),
      ['l2', 'l3', 'l4'],
    );
    t.deepEqual([...root.queue], ['q1', 'q2']);
    t.deepEqual(
      [...root.order],
      [
        [3, 'three'],
        [7, 'seven'],
      ],
    );
    t.is(root.area.subarray(0, 3).toString(), 'raw');
    t.is(root.conns.insert({fd: 1n}).$index, 1, 'the free slot is used again');
    store.close();
    const again = await openStore({...where, schema: after});
    t.is(again.root.conns.size, 3);
    again.destroy();
  });

  test(`${backend}: what cannot be carried over changes nothing; migrate says how`, async t => {
    const name = freshName();
    const ids = await filled(t, backend, name);
    const where = {name, backend, ...pathOf(name, backend)} as const;
    const Odd = struct('Conn', {fd: ty.string(), path: ty.string()});
    const odd = {...before, conns: ty.table(Odd, {capacity: 8})};
    await t.throwsAsync(openStore({...where, schema: odd}), {
      code: 'ERR_SCHEMA_MISMATCH',
      message:
        /drop: \['Conn\.sent', 'Conn\.peer', 'Conn\.note', 'Conn\.sizes'\].*Conn\.fd was a i32 and is to be a string/,
    });
    const small = {
      peers: ty.table(
        struct('Peer', {host: ty.string(20), hits: ty.bool, mood: ty.enum('good'), old: ty.u8}),
      ),
    };
    const drop = Object.keys(before).filter(name => name !== 'peers');
    await t.throwsAsync(openStore({...where, schema: small, drop}), {
      code: 'ERR_VALUE',
      message: /peers, \$id \d+: Peer\.mood: "bad"/,
    });
    const lost = ['Conn.sent', 'Conn.peer', 'Conn.note', 'Conn.sizes'];
    const refused = openStore({
      ...where,
      schema: odd,
      drop: lost,
      migrate: () => {
        throw new Error('not today');
      },
    });
    await t.throwsAsync(refused, {message: 'not today'});
    const same = await openStore({...where, schema: before});
    t.is(same.root.conns.get(ids.conn)!.fd, 5);
    same.close();
    const store = await openStore({
      ...where,
      schema: odd,
      drop: lost,
      migrate(from, to) {
        for (const old of from['conns'] as Iterable<{$id: number; fd: number}>)
          to.conns.get(old.$id)!.fd = `fd ${old.fd}`;
      },
    });
    t.deepEqual(store.root.conns.get(ids.conn)!.toJSON(), {fd: 'fd 5', path: '/é2'});
    t.deepEqual(store.check().problems, []);
    store.destroy();
  });

  test(`${backend}: compact leaves no gaps and every id`, async t => {
    const name = freshName();
    const schema = {texts: ty.table(struct('Text', {s: ty.string()}))};
    const maker = await fresh(t, backend, schema, {name, size: '4MB'});
    const all = Array.from({length: 2000}, (_, i) => maker.root.texts.insert({s: `${i}`.repeat(100)}));
    for (const [i, text] of all.entries()) if (i % 10 !== 0) maker.root.texts.remove(text);
    const {used} = maker.info();
    const kept = all.filter((_, i) => i % 10 === 0).map(text => [text.$id, text.s] as const);
    maker.close();
    const store = await openStore({name, backend, ...pathOf(name, backend), schema, compact: true});
    for (const [id, s] of kept) t.is(store.root.texts.get(id)!.s, s);
    t.deepEqual(store.check().problems, []);
    t.true(store.info().used < used / 2, `${store.info().used} of ${used}`);
    store.destroy();
  });
}

for (const backend of SHARED_BACKENDS)
  test(`${backend}: a reader of a store that was rebuilt is told so, also when the clock stands still`, async t => {
    const {now} = Date;
    /** What opens a store looks at the clock before it first waits. */
    const at = async <T>(time: number, open: () => Promise<T>): Promise<T> => {
      Date.now = () => time;
      const opened = open();
      Date.now = now;
      return opened;
    };
    const name = freshName();
    const place = {name, backend, ...pathOf(name, backend)} as const;
    const first = await at(1e12, () => openStore({...place, size: '1MB', schema: {count: ty.u32}}));
    first.root.count = 9;
    const reader = await readStore(place);
    const {created} = reader.info();
    const watched = reader.watch().next();
    t.is(
      reader.read(root => root['count']),
      9,
    );
    first.close();
    const store = await at(1e12, () => openStore({...place, schema: {count: ty.u32, more: ty.u8}}));
    t.deepEqual(store.info().created, created, 'the clock does not tell them apart');
    const rebuilt = {code: 'ERR_SCHEMA_MISMATCH', message: /rebuilt/};
    t.throws(() => reader.read(root => root['count']), rebuilt);
    for (const look of [
      () => reader.snapshot(),
      () => reader.info(),
      () => reader.check(),
      () => reader.memory,
    ])
      t.throws(look, rebuilt);
    await t.throwsAsync(watched, rebuilt);
    reader.close();
    store.destroy();
  });

test('a struct that stands in several collections is one for those who read the schema from the store', async t => {
  const name = freshName();
  const Part = struct('Part', {n: ty.u8});
  const schema = {
    refs: ty.table(struct('Ref', {to: ty.ref(() => Part)})),
    parts: ty.table(Part),
    more: ty.list(Part),
  };
  const store = await fresh(t, 'sysv', schema, {name});
  store.root.refs.insert({to: store.root.parts.insert({n: 1})});
  const reader = await readStore({name});
  t.deepEqual(reader.check().problems, []);
  reader.close();
});

const Job = struct('Job', {name: ty.string()});
const Note = struct('Note', {job: ty.ref(() => Job)});

for (const backend of BACKENDS)
  for (const how of ['compact', 'another schema'])
    test(`${backend}: ids of lists, refs into maps, and counts of rings stay (${how})`, async t => {
      const schema = {
        byName: ty.map(ty.string(), Job),
        byTime: ty.sorted(ty.u32, Job),
        queue: ty.list(Job),
        texts: ty.list(ty.string()),
        last: ty.ring(ty.u32, 4),
        notes: ty.table(Note),
      };
      const name = freshName();
      const first = await fresh(t, backend, schema, {name});
      const {byName, byTime, queue, texts, last, notes} = first.root;
      for (let i = 0; i < 200; i++) {
        byName.set(`key ${i}`, {name: `by name ${i}`});
        byTime.set(i * 7, {name: `by time ${i}`});
        last.push(i);
      }
      const ids = Array.from({length: 100}, (_, i) => queue.unshift({name: `queued ${i}`}));
      const textIds = Array.from({length: 40}, (_, i) => texts.push(`text ${i}`));
      for (let i = 0; i < 200; i += 3) {
        byName.delete(`key ${i}`);
        byTime.delete(i * 7);
      }
      for (let i = 0; i < 100; i += 2) queue.remove(ids[i]!);
      texts.remove(textIds[0]!);
      for (const job of [...byName.values(), ...byTime.values(), ...queue]) notes.insert({job});
      notes.insert({});
      const named = [...notes].map(note => note.job?.name);
      const before = JSON.stringify(first.toJSON());
      first.close();
      const changed = how === 'compact' ? schema : {extra: ty.map(ty.u8, Job), ...schema};
      const second = await openStore({
        name,
        backend,
        ...pathOf(name, backend),
        schema: changed,
        compact: how === 'compact',
      });
      t.deepEqual(
        [...second.root.notes].map(note => note.job?.name),
        named,
      );
      for (const [i, id] of ids.entries())
        t.is(second.root.queue.get(id)?.name, i % 2 === 0 ? undefined : `queued ${i}`);
      for (const [i, id] of textIds.entries())
        t.is(second.root.texts.get(id), i === 0 ? undefined : `text ${i}`);
      t.is(second.root.last.pushed, 200);
      const {extra: _, ...after} = second.toJSON() as Record<string, unknown>;
      t.is(JSON.stringify(after), before);
      t.deepEqual(second.check().problems, []);
      second.root.byName.set('new', {name: 'new'});
      second.root.byTime.set(1, {name: 'new'});
      second.root.queue.push({name: 'new'});
      second.root.last.push(200);
      t.deepEqual([...second.root.last], [197, 198, 199, 200]);
      t.deepEqual(second.check().problems, []);
      second.destroy();
    });

test('what a new type cannot hold is refused and not rounded: integers as f32, keys that become one', async t => {
  for (const [before, after, fill] of [
    [{n: ty.u32}, {n: ty.f32}, (root: Record<string, unknown>) => (root['n'] = 2 ** 24 + 1)],
    [
      {m: ty.sorted(ty.f64, ty.u8)},
      {m: ty.sorted(ty.f32, ty.u8)},
      (root: Record<string, unknown>) => {
        const map = root['m'] as SortedMap<number, number>;
        map.set(0.1, 1);
        map.set(Math.fround(0.1), 2);
      },
    ],
  ] as [Schema, Schema, (root: Record<string, unknown>) => void][]) {
    const name = freshName();
    const first = await fresh(t, 'memory', before, {name});
    fill(first.root as Record<string, unknown>);
    const content = JSON.stringify(first);
    first.close();
    await t.throwsAsync(openStore({name, backend: 'memory', schema: after}), {code: 'ERR_VALUE'});
    const same = await openStore({name, backend: 'memory', schema: before});
    t.is(JSON.stringify(same), content);
    same.destroy();
  }
});
