// A schema that changes: what is asked before anything is lost, what never is, and the way back. A refusal changes no byte.
import {readFileSync} from 'node:fs';
import test, {type ExecutionContext} from 'ava';
import {decodeLineage, MOST_ANCESTORS} from '../src/declaration/schema-blob.js';
import {
  openStore,
  readStore,
  type Schema,
  StoreError,
  type StoreOptions,
  struct,
  t as ty,
} from '../src/index.js';
import {at, readHeader} from '../src/segment/header.js';
import {CELL, Memory} from '../src/segment/memory.js';
import {BACKENDS, type BackendName, fresh, freshName, pathOf} from './helpers/stores.js';

const Address = struct('Address', {street: ty.string(), zip: ty.u32});
const User = struct('User', {
  name: ty.string(),
  plan: ty.string(),
  age: ty.u8.optional(),
  home: Address,
  scores: ty.array(ty.u16, 3),
  contact: ty.union({mail: ty.string(), post: Address}),
});
const before = {
  users: ty.table(User),
  visits: ty.map(ty.string(), ty.f64),
  log: ty.ring(ty.u32, 4),
  area: ty.raw(64),
  served: ty.u32,
};

async function filled(t: ExecutionContext, backend: BackendName = 'memory') {
  const name = freshName();
  const where = {name, backend, ...pathOf(name, backend)} as const;
  const store = await fresh(t, backend, before, {name});
  const {users, visits, log, area} = store.root;
  const home = {street: 'High Street', zip: 1};
  const ada = users.insert({
    name: 'Ada',
    plan: 'pro',
    age: 36,
    home,
    scores: [1, 2, 3],
    contact: {tag: 'post', value: home},
  });
  const bob = users.insert({name: 'Bob', plan: 'free', contact: {tag: 'mail', value: 'bob@example'}});
  visits.set('/', 3).set('/half', 1.5);
  for (let i = 0; i < 4; i++) log.push(i);
  area.write('raw');
  store.root.served = 7;
  const ids = {ada: ada.$id, bob: bob.$id};
  store.close();
  return {where, ids};
}

/** All bytes of a store that nobody has open for writing. */
async function bytesOf(where: Pick<StoreOptions<Schema>, 'name' | 'backend' | 'path'>): Promise<Buffer> {
  if (where.path !== undefined) return readFileSync(where.path);
  const reader = await readStore(where);
  const bytes = Buffer.from(reader.memory);
  reader.close();
  return bytes;
}

async function refused<S extends Schema>(
  t: ExecutionContext,
  options: StoreOptions<S>,
  code: string,
  message: RegExp,
): Promise<void> {
  const {name, backend, path} = options as StoreOptions<Schema>;
  const place = {name, ...(backend ? {backend} : {}), ...(path === undefined ? {} : {path})};
  const bytes = await bytesOf(place);
  await t.throwsAsync(openStore(options), {instanceOf: StoreError, code, message});
  t.true(bytes.equals(await bytesOf(place)), 'a refusal changed the store');
}

const Slim = struct('User', {
  name: ty.string(),
  age: ty.u8.optional(),
  home: struct('Address', {street: ty.string()}),
  scores: ty.array(ty.u16, 2),
  contact: ty.union({mail: ty.string(), post: struct('Address', {street: ty.string()})}),
});
const slim = {users: ty.table(Slim), log: ty.ring(ty.u32, 2), area: ty.raw(32), served: ty.u32};
const all = ['visits', 'User.plan', 'Address.zip', 'User.scores[2..]', 'log[2..]', 'area[32..]'];

for (const backend of BACKENDS)
  test(`${backend}: what would be lost is listed, all of it at once, and goes only when it is named`, async t => {
    const {where, ids} = await filled(t, backend);
    const list = new RegExp(
      `drop: \\[${all.map(name => `'${name.replace(/[[\].]/g, '\\$&')}'`).join(', ')}\\]`,
    );
    await refused(t, {...where, schema: slim}, 'ERR_SCHEMA_MISMATCH', list);
    for (const [i, name] of all.entries()) {
      const drop = all.toSpliced(i, 1);
      await refused(
        t,
        {...where, schema: slim, drop},
        'ERR_SCHEMA_MISMATCH',
        new RegExp(`drop: \\['${name.replace(/[[\].]/g, '\\$&')}'\\]`),
      );
    }
    const store = await openStore({...where, schema: slim, drop: all});
    t.deepEqual(store.root.users.get(ids.ada)!.toJSON(), {
      name: 'Ada',
      age: 36,
      home: {street: 'High Street'},
      scores: [1, 2],
      contact: {tag: 'post', value: {street: 'High Street'}},
    });
    t.deepEqual([...store.root.log], [2, 3]);
    t.is(store.root.log.pushed, 4);
    t.is(store.root.area.toString('latin1', 0, 3), 'raw');
    t.deepEqual(store.check().problems, []);
    store.destroy();
  });

test('names that are none: in drop, on either side of renames, of what stays', async t => {
  const {where} = await filled(t);
  const {served: _, ...fewer} = before;
  const schema = {...fewer, hits: ty.u32};
  const mismatch = 'ERR_SCHEMA_MISMATCH';
  await refused(
    t,
    {...where, schema, drop: ['srved']},
    mismatch,
    /there is no "srved".*what would be lost is \['served'\]/,
  );
  await refused(t, {...where, schema, drop: ['served', 'User.paln']}, mismatch, /there is no "User\.paln"/);
  await refused(
    t,
    {...where, schema, drop: ['served', 'visits']},
    mismatch,
    /nothing would be lost of "visits"/,
  );
  await refused(
    t,
    {...where, schema, renames: {hits: 'srved'}},
    mismatch,
    /there is no "srved" .* that "hits"/,
  );
  await refused(t, {...where, schema, renames: {hts: 'served'}}, mismatch, /the schema has no "hts"/);
  await refused(
    t,
    {...where, schema, renames: {hits: 'served', 'User.nick': 'name'}},
    mismatch,
    /has no "User\.nick"/,
  );
  await refused(
    t,
    {...where, schema, renames: {hits: 'served', 'User.name': 'nick'}},
    mismatch,
    /there is no "nick"/,
  );
  for (const [wrong, message] of [
    [{drop: 'served'}, /drop: "served"; expected names/],
    [{drop: [1]}, /drop: an array of 1; expected names/],
    [{renames: {hits: 1}}, /renames: an object; expected/],
    [{migrate: {}}, /migrate: an object; expected a function/],
    [{version: 0}, /version: 0; expected an integer/],
    [{version: 1.5}, /version: 1\.5; expected an integer/],
  ] as const)
    await refused(t, {...where, schema, ...(wrong as object)}, 'ERR_OPTIONS', message);
  const store = await openStore({...where, schema, renames: {hits: 'served'}});
  t.is(store.root.hits, 7);
  store.close();
  // Once done, they are of no matter to the same schema.
  (await openStore({...where, schema, renames: {hits: 'served'}, drop: ['whatever']})).destroy();
});

test('a value that does not fit refuses the whole and names its record; null is no zero', async t => {
  const {where, ids} = await filled(t);
  const strict = {...before, users: ty.table(struct('User', {...User.fields, age: ty.u8}))};
  await refused(
    t,
    {...where, schema: strict},
    'ERR_VALUE',
    new RegExp(`users, \\$id ${ids.bob}: User\\.age: null does not fit.*Pass migrate`),
  );
  const whole = {...before, visits: ty.map(ty.string(), ty.i64)};
  await refused(
    t,
    {...where, schema: whole},
    'ERR_VALUE',
    /visits, key "\/half": visits: 1\.5 .*Name 'visits' in drop/,
  );
  // Nor with a migrate, which could not reach it one by one.
  await refused(t, {...where, schema: whole, migrate() {}}, 'ERR_VALUE', /visits, key "\/half"/);
  const fit = await openStore({
    ...where,
    schema: whole,
    drop: ['visits'],
    migrate(from, to) {
      for (const [key, value] of from['visits'] as Iterable<[string, number]>)
        to.visits.set(key, BigInt(Math.round(value)));
    },
  });
  t.deepEqual(
    [...fit.root.visits],
    [
      ['/', 3n],
      ['/half', 2n],
    ],
  );
  fit.destroy();
});

test('f64 with an integral value becomes i64, and everything else that is a number likewise or not at all', async t => {
  const cases = [
    ['f64', 3, 'i64', 3n],
    ['f64', -(2 ** 62), 'i64', -(2n ** 62n)],
    ['f64', 2 ** 63, 'i64', undefined],
    ['f64', 0.5, 'i64', undefined],
    ['f64', Number.NaN, 'i64', undefined],
    ['f64', -1, 'u64', undefined],
    ['f32', 2, 'u8', 2],
    ['f64', 256, 'u8', undefined],
    ['f64', 0.1, 'f32', undefined],
    ['f64', 0.5, 'f32', 0.5],
    ['u64', 2n ** 53n + 1n, 'f64', undefined],
    ['u64', 2n ** 60n, 'f64', 2 ** 60],
    ['u64', 2n ** 53n, 'uint', undefined],
    ['i64', -1n, 'i8', -1],
    ['u8', 2, 'bool', undefined],
    ['u8', 1, 'bool', true],
    ['bool', true, 'u64', 1n],
    ['timestamp', 5, 'timestamp', new Date(5)],
  ] as const;
  for (const [from, value, to, expected] of cases) {
    const name = freshName();
    const first = await fresh(t, 'memory', {n: ty[from]} as Schema, {name});
    (first.root as Record<string, unknown>)['n'] = value;
    first.close();
    const where = {name, backend: 'memory', schema: {n: ty[to]} as Schema} as const;
    const what = `${from} ${value} to ${to}`;
    if (expected === undefined) await refused(t, where, 'ERR_VALUE', /^n: /);
    else {
      const second = await openStore(where);
      t.deepEqual(second.root['n'], expected, what);
      second.close();
    }
  }
});

const Strict = struct('User', {
  name: ty.string(2),
  plan: ty.enum('pro'),
  age: ty.u8,
  home: struct('Address', {street: ty.string(), zip: ty.string()}),
  scores: ty.array(ty.bool, 3),
  contact: ty.union({post: struct('Address', {street: ty.string(), zip: ty.string()})}),
});
const strict = {...before, users: ty.table(Strict), visits: ty.table(struct('Visit', {path: ty.string()}))};
type From = {users: Iterable<{$id: number; name: string; age: number | null; home: {zip: number}}>};

test('migrate must fill each field that could not be carried over, with zero if it likes, and nothing else', async t => {
  const {where, ids} = await filled(t);
  const fields: Record<
    string,
    (user: typeof Strict.value, old: {name: string; age: number | null; home: {zip: number}}) => void
  > = {
    name: user => (user.name = ''),
    plan: user => user.$set({plan: 'pro'}),
    age: (user, old) => (user.age = old.age ?? 0),
    zip: (user, old) => (user.home.zip = `${old.home.zip}`),
    scores: user => user.$set({scores: [false, false, false]}),
    contact: user => user.$set({contact: {tag: 'post', value: {street: '', zip: ''}}}),
  };
  const migrate =
    (but: string) =>
    (
      from: Record<string, unknown>,
      to: {
        users: {get(id: number): typeof Strict.value | undefined};
        visits: {insert(visit: object): unknown};
      },
    ) => {
      for (const old of (from as From).users)
        for (const [name, fill] of Object.entries(fields))
          if (name !== but) fill(to.users.get(old.$id)!, old);
      if (but !== 'visits') to.visits.insert({path: '/'});
    };
  for (const but of Object.keys(fields))
    await refused(
      t,
      {...where, schema: strict, migrate: migrate(but) as never},
      'ERR_VALUE',
      new RegExp(`migrate left empty .*users, \\$id \\d+: .*${but}`),
    );
  await refused(
    t,
    {...where, schema: strict, migrate: migrate('visits') as never},
    'ERR_VALUE',
    /visits was a map/,
  );
  await refused(
    t,
    {...where, schema: strict, migrate: (async () => {}) as never},
    'ERR_TRANSACTION',
    /promise/,
  );
  const store = await openStore({...where, schema: strict, migrate: migrate('nothing') as never});
  t.deepEqual(store.root.users.get(ids.bob)!.toJSON(), {
    name: '',
    plan: 'pro',
    age: 0,
    home: {street: '', zip: '0'},
    scores: [false, false, false],
    contact: {tag: 'post', value: {street: '', zip: ''}},
  });
  t.deepEqual(store.check().problems, []);
  store.close();
  // It was for another schema; this one is there.
  const again = await openStore({
    ...where,
    schema: strict,
    compact: true,
    migrate: () => t.fail('the schema has not changed'),
  });
  again.destroy();
});

test('a record that migrate removes, or replaces, needs no filling', async t => {
  const {where} = await filled(t);
  const Aged = struct('User', {...User.fields, age: ty.u8});
  const store = await openStore({
    ...where,
    schema: {...before, users: ty.table(Aged)},
    migrate(_from, to) {
      for (const user of to.users) to.users.remove(user);
      for (let i = 0; i < 2; i++) to.users.insert({name: `new ${i}`});
    },
  });
  t.deepEqual(
    [...store.root.users].map(user => user.age),
    [0, 0],
  );
  store.destroy();
});

test('a table keeps all slots that ids name, or the change is refused', async t => {
  const name = freshName();
  const Part = struct('Part', {n: ty.u8});
  const schemaOf = (capacity: number) => ({parts: ty.table(Part, {capacity})});
  const first = await fresh(t, 'memory', schemaOf(8), {name});
  const {parts} = first.root;
  for (let n = 0; n < 6; n++) parts.insert({n});
  for (const part of parts) if (part.n > 2) parts.remove(part);
  first.close();
  const where = {name, backend: 'memory'} as const;
  await refused(
    t,
    {...where, schema: schemaOf(5)},
    'ERR_FULL',
    /6 of its slots .* capacity of 5 is too small/,
  );
  const store = await openStore({...where, schema: schemaOf(6)});
  t.is(store.root.parts.size, 3);
  store.destroy();
});

test('refs to what was given up read null; those to what became another kind of collection are not lost in silence', async t => {
  const Peer = struct('Peer', {n: ty.u8});
  const refs = ty.table(struct('Ref', {to: ty.ref(() => Peer)}));
  const name = freshName();
  const first = await fresh(t, 'memory', {peers: ty.table(Peer), refs}, {name});
  first.root.refs.insert({to: first.root.peers.insert({n: 1})});
  first.close();
  const where = {name, backend: 'memory'} as const;
  const schema = {peers: ty.list(Peer), refs};
  const forgetful = {
    ...where,
    schema,
    migrate: (_: unknown, to: {peers: {push(peer: object): unknown}}) => void to.peers.push({n: 1}),
  };
  await refused(t, forgetful as never, 'ERR_VALUE', /Ref\.to: it names a record of 'peers'/);
  const store = await openStore({...where, schema: {refs}, drop: ['peers']});
  t.is([...store.root.refs][0]!.to, null);
  store.destroy();
});

test('what validate refuses has not been migrated', async t => {
  const {where} = await filled(t);
  const {served: _, ...fewer} = before;
  const validate = () => {
    throw new Error('not like this');
  };
  await refused(t, {...where, schema: fewer, drop: ['served'], validate}, 'ERR_INVALID', /not like this/);
  let seen = 0;
  (await openStore({...where, schema: fewer, drop: ['served'], validate: () => void seen++})).destroy();
  t.is(seen, 1);
});

test('a store remembers what it was: names come back with a schema of before, and what has the name of another is another', async t => {
  const name = freshName();
  const where = {name, backend: 'memory'} as const;
  const one = {users: ty.table(struct('User', {name: ty.string(), plan: ty.string(), sent: ty.u32}))};
  const two = {people: ty.table(struct('Person', {name: ty.string(), bytes: ty.uint}))};
  const three = {people: ty.table(struct('Person', {name: ty.string(), bytes: ty.uint, plan: ty.u8}))};
  const first = await fresh(t, 'memory', one, {name});
  const {$id} = first.root.users.insert({name: 'Ada', plan: 'pro', sent: 5});
  first.close();
  (
    await openStore({
      ...where,
      schema: two,
      renames: {people: 'users', 'Person.bytes': 'sent'},
      drop: ['User.plan'],
    })
  ).close();
  const third = await openStore({...where, schema: three});
  third.root.people.get($id)!.plan = 9;
  third.close();
  await refused(
    t,
    {...where, schema: one},
    'ERR_SCHEMA_MISMATCH',
    /it had this one before.*drop: \['Person\.plan'\]/,
  );
  const back = await openStore({...where, schema: one, drop: ['Person.plan']});
  t.deepEqual(back.root.users.get($id)!.toJSON(), {name: 'Ada', plan: '', sent: 5});
  back.close();
  // And forth again, past the one between.
  await refused(t, {...where, schema: three}, 'ERR_SCHEMA_MISMATCH', /drop: \['User\.plan'\]/);
  const forth = await openStore({...where, schema: three, drop: ['User.plan']});
  t.deepEqual(forth.root.people.get($id)!.toJSON(), {name: 'Ada', bytes: 5, plan: 0});
  forth.destroy();
});

test('the lineage has an end, and damage in it is found', async t => {
  const name = freshName();
  const where = {name, backend: 'memory', size: '64KB'} as const;
  const schemaOf = (n: number) => ({[`name${n}`]: ty.u32}) as Schema;
  let store = await openStore({...where, schema: schemaOf(0)});
  (store.root as Record<string, number>)['name0'] = 42;
  store.close();
  for (let n = 1; n <= 40; n++) {
    store = await openStore({...where, schema: schemaOf(n), renames: {[`name${n}`]: `name${n - 1}`}});
    t.deepEqual(store.check().problems, []);
    if (n < 40) store.close();
  }
  const memory = new Memory(store.memory);
  const {schemaCell, schemaBytes} = readHeader(memory, 'here');
  const blob = memory.u8.subarray(schemaCell * CELL, schemaCell * CELL + schemaBytes);
  const {length} = decodeLineage(blob, 'here');
  t.true(length >= 5 && length <= MOST_ANCESTORS, `${length}`);
  t.true(schemaBytes < 64 * 1024 * (1 / 64) + 512, `${schemaBytes} bytes`);
  const {shared} = store;
  store.close();
  const back = await openStore({...where, shared, schema: schemaOf(40 - length)});
  t.is((back.root as Record<string, number>)[`name${40 - length}`], 42);
  back.close();
  // An older one it does not know: a schema like any other.
  await refused(
    t,
    {...where, schema: schemaOf(0)},
    'ERR_SCHEMA_MISMATCH',
    /under this one something would be lost/,
  );
  const damaged = await openStore({...where, schema: schemaOf(40 - length)});
  const {u8} = new Memory(damaged.memory);
  const text = Buffer.from(u8.buffer as ArrayBuffer).indexOf(
    /[0-9a-f]{32}/.exec(Buffer.from(u8).toString('latin1'))![0],
  );
  u8[text] = 'x'.charCodeAt(0);
  t.regex(damaged.check().problems.join(), /lineage/);
  damaged.close();
  await refused(t, {...where, schema: schemaOf(99)}, 'ERR_CORRUPT', /lineage/);
  (await openStore({...where, schema: schemaOf(40 - length)})).destroy();
});

for (const backend of BACKENDS)
  test(`${backend}: a store that a newer version has written is refused, and keeps that version`, async t => {
    const {where} = await filled(t, backend);
    const schema = before;
    const versionIn = async () => (await bytesOf(where)).readUInt32LE(at.schemaVersion);
    t.is(await versionIn(), 0);
    (await openStore({...where, schema, version: 3})).close();
    t.is(await versionIn(), 3);
    const older = /written with version 3 of the schema, this is version 2/;
    await refused(t, {...where, schema, version: 2}, 'ERR_SCHEMA_MISMATCH', older);
    await refused(t, {...where, schema, version: 2, readonly: true}, 'ERR_SCHEMA_MISMATCH', older);
    await refused(t, {...where, schema: {...before, more: ty.u8}, version: 2}, 'ERR_SCHEMA_MISMATCH', older);
    (await openStore({...where, schema})).close(); // one that does not count
    (await openStore({...where, schema, version: 3, writers: 'many'})).close();
    const {served: _, ...fewer} = before;
    const refusal = /drop: \['served'\]/;
    await refused(t, {...where, schema: fewer, version: 4}, 'ERR_SCHEMA_MISMATCH', refusal);
    (await openStore({...where, schema: fewer, drop: ['served']})).close();
    t.is(await versionIn(), 3);
    (await openStore({...where, schema: fewer, version: 4, compact: true})).close();
    t.is(await versionIn(), 4);
    (await openStore({...where, schema: fewer, version: 4})).destroy();
  });
