// Nothing is dropped unasked. Random pairs of schemas: what the refusal lists is exactly what a naive comparison misses, a
// refusal changes no byte, and what is carried over equals what was there. Then one by one: what is asked, and what never is.
import test from 'ava';
import fc from 'fast-check';
import {
  type AnyType,
  openStore,
  type Schema,
  StoreError,
  type StoreOptions,
  struct,
  t as ty,
} from '../src/index.js';
import {freshName} from './helpers/stores.js';

/** A schema as plain data, from which the naive model tells what becomes of a value. */
type Shape =
  | {kind: 'u8' | 'i32' | 'uint' | 'i64' | 'u64' | 'f32' | 'f64' | 'bool' | 'string' | 'bytes'}
  | {kind: 'text'; max: number}
  | {kind: 'enum'; names: string[]}
  | {kind: 'optional'; of: Shape}
  | {kind: 'array'; of: Shape; length: number}
  | {kind: 'union'; of: Record<string, Shape>}
  | {kind: 'struct'; name: string; fields: Record<string, Shape>};
type Root =
  | {kind: 'value'; of: Shape}
  | {kind: 'table' | 'vector' | 'list' | 'map' | 'sorted'; of: Shape}
  | {kind: 'ring'; of: Shape; capacity: number};
type Roots = Record<string, Root>;

function typeOf(shape: Shape): AnyType {
  switch (shape.kind) {
    case 'text':
      return ty.string(shape.max);
    case 'string':
      return ty.string();
    case 'bytes':
      return ty.bytes();
    case 'enum':
      return ty.enum(...(shape.names as [string, ...string[]]));
    case 'optional':
      return typeOf(shape.of).optional();
    case 'array':
      return ty.array(typeOf(shape.of), shape.length);
    case 'union':
      return ty.union(Object.fromEntries(Object.entries(shape.of).map(([tag, of]) => [tag, typeOf(of)])));
    case 'struct':
      return struct(
        shape.name,
        Object.fromEntries(Object.entries(shape.fields).map(([name, of]) => [name, typeOf(of)])),
      );
    default:
      return ty[shape.kind];
  }
}

function schemaOf(roots: Roots): Schema {
  return Object.fromEntries(
    Object.entries(roots).map(([name, root]) => {
      const of = typeOf(root.of);
      switch (root.kind) {
        case 'value':
          return [name, of];
        case 'table':
          return [name, ty.table(of as never)];
        case 'map':
          return [name, ty.map(ty.u32, of)];
        case 'sorted':
          return [name, ty.sorted(ty.u32, of)];
        case 'ring':
          return [name, ty.ring(of, root.capacity)];
        default:
          return [name, ty[root.kind](of)];
      }
    }),
  );
}

const leaf: fc.Arbitrary<Shape> = fc.oneof(
  fc.constantFrom(
    ...(['u8', 'i32', 'uint', 'i64', 'u64', 'f32', 'f64', 'bool', 'string', 'bytes'] as const).map(kind => ({
      kind,
    })),
  ),
  fc.record({kind: fc.constant('text' as const), max: fc.integer({min: 1, max: 6})}),
  fc.record({
    kind: fc.constant('enum' as const),
    names: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), {minLength: 1, maxLength: 3}),
  }),
);

/** Each struct has a name of its own, as in a program. */
const shape = (depth: number): fc.Arbitrary<Shape> =>
  depth === 0
    ? leaf
    : fc.oneof(
        {weight: 4, arbitrary: leaf},
        {
          weight: 1,
          arbitrary: shape(depth - 1).map(of =>
            of.kind === 'optional' ? of : {kind: 'optional' as const, of},
          ),
        },
        {
          weight: 1,
          arbitrary: fc.record({
            kind: fc.constant('array' as const),
            of: shape(depth - 1),
            length: fc.integer({min: 1, max: 3}),
          }),
        },
        {
          weight: 1,
          arbitrary: fc.record({
            kind: fc.constant('union' as const),
            of: fc.dictionary(fc.constantFrom('p', 'q'), shape(depth - 1), {
              minKeys: 1,
              noNullPrototype: true,
            }),
          }),
        },
        {weight: 2, arbitrary: structShape(depth)},
      );
const structShape = (depth: number): fc.Arbitrary<Shape> =>
  fc
    .dictionary(fc.constantFrom('x', 'y', 'z'), shape(depth - 1), {minKeys: 1, noNullPrototype: true})
    .map(fields => ({kind: 'struct' as const, name: 'S', fields}));

const rootShape: fc.Arbitrary<Root> = fc.oneof(
  fc.record({kind: fc.constant('value' as const), of: shape(2)}),
  fc.record({kind: fc.constant('table' as const), of: structShape(2)}),
  fc.record({
    kind: fc.constantFrom('vector' as const, 'list' as const, 'map' as const, 'sorted' as const),
    of: shape(2),
  }),
  fc.record({kind: fc.constant('ring' as const), of: shape(1), capacity: fc.integer({min: 1, max: 4})}),
);
const rootsShape = fc
  .dictionary(fc.constantFrom('one', 'two', 'three'), rootShape, {minKeys: 1, noNullPrototype: true})
  .map(named);

/** Names each struct after the place it stands at. */
function named(roots: Roots): Roots {
  const name = (shape: Shape, path: string): Shape => {
    switch (shape.kind) {
      case 'struct':
        return {
          ...shape,
          name: path,
          fields: Object.fromEntries(
            Object.entries(shape.fields).map(([f, of]) => [f, name(of, `${path}_${f}`)]),
          ),
        };
      case 'optional':
      case 'array':
        return {...shape, of: name(shape.of, `${path}_of`)};
      case 'union':
        return {
          ...shape,
          of: Object.fromEntries(
            Object.entries(shape.of).map(([tag, of]) => [tag, name(of, `${path}_${tag}`)]),
          ),
        };
      default:
        return shape;
    }
  };
  return Object.fromEntries(
    Object.entries(roots).map(([key, root]) => [key, {...root, of: name(root.of, `S_${key}`)} as Root]),
  );
}

function someOf(shape: Shape): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'u8':
      return fc.constantFrom(0, 1, 7, 255);
    case 'i32':
      return fc.constantFrom(0, 1, -1, 300, -(2 ** 31));
    case 'uint':
      return fc.constantFrom(0, 1, 255, 2 ** 32, 2 ** 53 - 1);
    case 'i64':
      return fc.constantFrom(0n, 1n, -5n, 255n, 2n ** 62n + 1n);
    case 'u64':
      return fc.constantFrom(0n, 1n, 2n ** 53n, 2n ** 64n - 1n);
    case 'f32':
      return fc.constantFrom(0, 1, 1.5, -2, 2 ** 100, Number.NaN, Number.POSITIVE_INFINITY);
    case 'f64':
      return fc.constantFrom(0, 1, 0.1, 3, -3, 1e300, Number.NaN);
    case 'bool':
      return fc.boolean();
    case 'string':
      return fc.constantFrom('', 'a', 'b', 'a longer text', 'é');
    case 'text':
      return fc.constantFrom(...['', 'a', 'b', 'abcd', 'ab'].filter(text => text.length <= shape.max));
    case 'bytes':
      return fc.uint8Array({maxLength: 5});
    case 'enum':
      return fc.constantFrom(...shape.names);
    case 'optional':
      return fc.option(someOf(shape.of));
    case 'array':
      return fc.array(someOf(shape.of), {minLength: shape.length, maxLength: shape.length});
    case 'union':
      return fc.oneof(
        ...Object.entries(shape.of).map(([tag, of]) => someOf(of).map(value => ({tag, value}))),
      );
    case 'struct':
      return fc.record(
        Object.fromEntries(Object.entries(shape.fields).map(([name, of]) => [name, someOf(of)])),
      );
  }
}

/** The naive model. A value that does not fit throws Unfit; two types that have nothing in common are unlike. */
class Unfit extends Error {}
const integers: Record<string, [bigint, bigint]> = {
  bool: [0n, 1n],
  u8: [0n, 255n],
  i32: [-(2n ** 31n), 2n ** 31n - 1n],
  uint: [0n, 2n ** 53n - 1n],
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  u64: [0n, 2n ** 64n - 1n],
};
const isNumber = ({kind}: Shape) => kind in integers || kind === 'f32' || kind === 'f64';
const isText = ({kind}: Shape) => kind === 'string' || kind === 'text';

function alike(from: Shape, to: Shape): boolean {
  if (to.kind === 'optional') return alike(from.kind === 'optional' ? from.of : from, to.of);
  if (from.kind === 'optional') return alike(from.of, to);
  if (from.kind === 'array' && to.kind === 'array') return alike(from.of, to.of);
  if (from.kind === 'struct' || from.kind === 'union' || from.kind === 'bytes') return from.kind === to.kind;
  if (isNumber(from)) return isNumber(to);
  if (isText(from) || from.kind === 'enum') return isText(to) || to.kind === 'enum';
  return false;
}

function carried(value: unknown, from: Shape, to: Shape): unknown {
  if (to.kind === 'optional') {
    const inner = from.kind === 'optional' ? from.of : from;
    return value === null ? null : carried(value, inner, to.of);
  }
  if (from.kind === 'optional') {
    if (value === null) throw new Unfit();
    return carried(value, from.of, to);
  }
  if (from.kind === 'struct' && to.kind === 'struct')
    return Object.fromEntries(
      Object.entries(to.fields).map(([name, of]) => {
        const before = from.fields[name];
        return [name, before ? carried((value as Record<string, unknown>)[name], before, of) : empty(of)];
      }),
    );
  if (from.kind === 'array' && to.kind === 'array')
    return Array.from({length: to.length}, (_, i) =>
      i < from.length ? carried((value as unknown[])[i], from.of, to.of) : empty(to.of),
    );
  if (from.kind === 'union' && to.kind === 'union') {
    const {tag, value: inner} = value as {tag: string; value: unknown};
    const [before, after] = [from.of[tag]!, to.of[tag]];
    if (!after || !alike(before, after)) throw new Unfit();
    return {tag, value: carried(inner, before, after)};
  }
  if (to.kind === 'enum') {
    if (!to.names.includes(value as string)) throw new Unfit();
    return value;
  }
  if (to.kind === 'text') {
    if (Buffer.byteLength(value as string) > to.max) throw new Unfit();
    return value;
  }
  if (!isNumber(to)) return value;
  const range = integers[to.kind];
  if (range === undefined) {
    const as = Number(value);
    const kept = to.kind === 'f32' ? Math.fround(as) : as;
    if (typeof value === 'bigint' ? BigInt(kept) !== value : !Object.is(kept, as)) throw new Unfit();
    return kept;
  }
  if (typeof value === 'number' && !Number.isInteger(value)) throw new Unfit();
  const whole = BigInt(value as number);
  if (whole < range[0] || whole > range[1]) throw new Unfit();
  return to.kind === 'bool' ? whole === 1n : to.kind === 'i64' || to.kind === 'u64' ? whole : Number(whole);
}

function empty(shape: Shape): unknown {
  switch (shape.kind) {
    case 'bool':
      return false;
    case 'i64':
    case 'u64':
      return 0n;
    case 'string':
    case 'text':
      return '';
    case 'bytes':
      return new Uint8Array();
    case 'enum':
      return shape.names[0];
    case 'optional':
      return null;
    case 'array':
      return Array.from({length: shape.length}, () => empty(shape.of));
    case 'union': {
      const [tag, of] = Object.entries(shape.of)[0]!;
      return {tag, value: empty(of)};
    }
    case 'struct':
      return Object.fromEntries(Object.entries(shape.fields).map(([name, of]) => [name, empty(of)]));
    default:
      return 0;
  }
}

/** What would be lost, by looking. */
function missing(from: Shape, to: Shape, path: string, lost: Set<string>): void {
  if (to.kind === 'optional') missing(from.kind === 'optional' ? from.of : from, to.of, path, lost);
  else if (from.kind === 'optional') missing(from.of, to, path, lost);
  else if (from.kind === 'array' && to.kind === 'array' && alike(from.of, to.of)) {
    if (to.length < from.length) lost.add(`${path}[${to.length}..]`);
    missing(from.of, to.of, `${path}[]`, lost);
  } else if (from.kind === 'union' && to.kind === 'union') {
    for (const [tag, of] of Object.entries(from.of))
      if (to.of[tag]) missing(of, to.of[tag], `${path}.${tag}`, lost);
  } else if (from.kind === 'struct' && to.kind === 'struct')
    for (const [name, of] of Object.entries(from.fields)) {
      const full = `${from.name}.${name}`;
      if (to.fields[name]) missing(of, to.fields[name], full, lost);
      else lost.add(full);
    }
}

/** Fields and collections that have nothing in common with what they were. */
function unlike(from: Shape, to: Shape): boolean {
  if (to.kind === 'optional') return unlike(from.kind === 'optional' ? from.of : from, to.of);
  if (from.kind === 'optional') return unlike(from.of, to);
  if (!alike(from, to)) return true;
  if (from.kind === 'array' && to.kind === 'array') return unlike(from.of, to.of);
  if (from.kind === 'union' && to.kind === 'union')
    return Object.entries(from.of).some(
      ([tag, of]) => to.of[tag] !== undefined && alike(of, to.of[tag]) && unlike(of, to.of[tag]),
    );
  if (from.kind === 'struct' && to.kind === 'struct')
    return Object.entries(from.fields).some(
      ([name, of]) => to.fields[name] !== undefined && unlike(of, to.fields[name]),
    );
  return false;
}

type Values = Record<string, unknown>;
const numbered = (values: unknown[]) => values.map((value, i) => [i * 3, value] as const);

function fill(root: Record<string, unknown>, roots: Roots, values: Values): void {
  for (const [name, {kind}] of Object.entries(roots)) {
    const collection = root[name] as Record<string, (...values: unknown[]) => unknown>;
    if (kind === 'value') root[name] = values[name];
    else if (kind === 'map' || kind === 'sorted')
      for (const [key, value] of numbered(values[name] as unknown[])) collection['set']!(key, value);
    else
      for (const value of values[name] as unknown[]) collection[kind === 'table' ? 'insert' : 'push']!(value);
  }
}

/** As the model has it. */
function contentOf(json: Record<string, unknown>, roots: Roots): Values {
  return Object.fromEntries(
    Object.entries(roots).map(([name, {kind}]) => {
      const all = json[name] as unknown[];
      if (kind === 'table')
        return [
          name,
          all.map(record => {
            const {$id: _, ...fields} = record as {$id: number};
            return fields;
          }),
        ];
      if (kind === 'map' || kind === 'sorted') return [name, all.map(entry => (entry as unknown[])[1])];
      return [name, all];
    }),
  );
}

const valuesOf = (roots: Roots): fc.Arbitrary<Values> =>
  fc.record(
    Object.fromEntries(
      Object.entries(roots).map(([name, {kind, of}]) => [
        name,
        kind === 'value' ? someOf(of) : fc.array(someOf(of), {maxLength: 4}),
      ]),
    ),
  );

/** Another schema: that one with a few changes, or any. */
function changed(roots: Roots): fc.Arbitrary<Roots> {
  const shapeOf = (before: Shape, depth: number): fc.Arbitrary<Shape> => {
    const other = fc.oneof(leaf, shape(1));
    const part = (of: Shape) => shapeOf(of, depth + 1);
    const same = (): fc.Arbitrary<Shape> => {
      switch (before.kind) {
        case 'optional':
          return fc.oneof(
            part(before.of).map(of => ({...before, of})),
            fc.constant(before.of),
          );
        case 'array':
          return fc
            .tuple(part(before.of), fc.integer({min: 1, max: 3}))
            .map(([of, length]) => ({...before, of, length}));
        case 'union':
        case 'struct': {
          const fields = before.kind === 'union' ? before.of : before.fields;
          return fc
            .tuple(
              fc.record(Object.fromEntries(Object.entries(fields).map(([name, of]) => [name, part(of)])), {
                requiredKeys: [],
                noNullPrototype: true,
              }),
              fc.dictionary(fc.constantFrom('n', 'm'), leaf, {maxKeys: 1, noNullPrototype: true}),
            )
            .map(([kept, added]) => {
              const all = {...added, ...(kept as Record<string, Shape>)};
              const parts = Object.keys(all).length === 0 ? fields : all;
              return before.kind === 'union' ? {...before, of: parts} : {...before, fields: parts};
            });
        }
        default:
          return fc.constant(before);
      }
    };
    const wrapped: fc.Arbitrary<Shape> =
      before.kind === 'optional' ? fc.constant(before) : fc.constant({kind: 'optional', of: before});
    return fc.oneof(
      {weight: 12, arbitrary: same()},
      {weight: depth === 0 ? 0 : 2, arbitrary: other},
      {weight: depth === 0 ? 0 : 1, arbitrary: wrapped},
    );
  };
  const entries = Object.entries(roots).map(
    ([name, root]) =>
      [
        name,
        root.kind === 'ring'
          ? fc
              .tuple(shapeOf(root.of, 0), fc.integer({min: 1, max: 5}))
              .map(([of, capacity]) => ({...root, of, capacity}))
          : shapeOf(root.of, root.kind === 'table' ? 0 : 1)
              .filter(of => root.kind !== 'table' || of.kind === 'struct')
              .map(of => ({...root, of}) as Root),
      ] as const,
  );
  return fc
    .tuple(
      fc.record(Object.fromEntries(entries), {requiredKeys: [], noNullPrototype: true}),
      fc.dictionary(fc.constantFrom('three', 'four'), rootShape, {maxKeys: 1, noNullPrototype: true}),
    )
    .map(([kept, added]) => {
      const all = {...added, ...(kept as Roots)};
      return Object.keys(all).length === 0 ? roots : named(all);
    });
}

const listed = (message: string) => {
  const [, list] = /drop: \[(.*?)\] to openStore/.exec(message) ?? [];
  return (list?.match(/'[^']*'/g) ?? []).map(name => name.slice(1, -1));
};

async function refusal(opening: Promise<{close(): void}>): Promise<StoreError> {
  let store: {close(): void};
  try {
    store = await opening;
  } catch (error) {
    if (error instanceof StoreError) return error;
    throw error;
  }
  store.close();
  throw new Error('it was not refused');
}

/** What the model says of the way from one schema to another. */
function judge(before: Roots, after: Roots, held: Values) {
  const lost = new Set<string>();
  let [differs, unfit] = [false, false];
  const expected: Values = {};
  for (const key of Object.keys(before)) if (!after[key]) lost.add(key);
  for (const [key, to] of Object.entries(after)) {
    const from = before[key];
    if (!from || from.kind !== to.kind) {
      expected[key] = to.kind === 'value' ? empty(to.of) : [];
      if (from) differs = true;
      continue;
    }
    missing(from.of, to.of, key, lost);
    if (unlike(from.of, to.of)) {
      differs = true;
      continue;
    }
    let all = (from.kind === 'value' ? [held[key]] : held[key]) as unknown[];
    if (to.kind === 'ring') {
      if (all.length > to.capacity) lost.add(`${key}[${to.capacity}..]`);
      all = all.slice(-to.capacity);
    }
    try {
      const now = all.map(value => carried(value, from.of, to.of));
      expected[key] = from.kind === 'value' ? now[0] : now;
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      unfit = true;
    }
  }
  return {lost: [...lost], differs, unfit, expected};
}

/** The same with other names, of fields and at the root; and what `renames` must say for those that were there before. */
function retold(before: Roots, after: Roots, words: readonly string[]) {
  const say = (text: string) =>
    text.replace(/[A-Za-z]+/g, word => (words.includes(word) ? `${word}2` : word));
  const renames: Record<string, string> = {};
  const note = (now: string, name: string) => {
    if (say(name) !== name) renames[now] = name;
  };
  const shape = (from: Shape | undefined, to: Shape): Shape => {
    const was = to.kind !== 'optional' && from?.kind === 'optional' ? from.of : from;
    switch (to.kind) {
      case 'struct': {
        const fields = was?.kind === 'struct' ? was.fields : {};
        for (const name of Object.keys(to.fields))
          if (fields[name]) note(`${say(to.name)}.${say(name)}`, name);
        return {
          ...to,
          name: say(to.name),
          fields: Object.fromEntries(
            Object.entries(to.fields).map(([name, of]) => [say(name), shape(fields[name], of)]),
          ),
        };
      }
      case 'union':
        return {
          ...to,
          of: Object.fromEntries(
            Object.entries(to.of).map(([tag, of]) => [
              tag,
              shape(was?.kind === 'union' ? was.of[tag] : undefined, of),
            ]),
          ),
        };
      case 'optional':
        return {...to, of: shape(was?.kind === 'optional' ? was.of : was, to.of)};
      case 'array':
        return {...to, of: shape(was?.kind === 'array' ? was.of : undefined, to.of)};
      default:
        return to;
    }
  };
  const roots: Roots = {};
  for (const [key, root] of Object.entries(after)) {
    const from = before[key];
    if (from) note(say(key), key);
    roots[say(key)] = {...root, of: shape(from?.kind === root.kind ? from.of : undefined, root.of)} as Root;
  }
  const values = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(values);
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [say(name), values(each)]));
  };
  return {roots, renames, say, values: values as (all: Values) => Values};
}

test('random pairs of schemas: what is not named as lost is there afterwards, forth and back; what is refused changes no byte', async t => {
  const seed = Number(process.env['ZLR_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
  const counts = {lost: 0, unlike: 0, unfit: 0, carried: 0, back: 0};
  const pairs = rootsShape.chain(before =>
    fc.record({
      before: fc.constant(before),
      after: fc.oneof({weight: 5, arbitrary: changed(before)}, {weight: 1, arbitrary: rootsShape}),
      values: valuesOf(before),
      words: fc.subarray(['x', 'y', 'one', 'two']),
    }),
  );
  await fc.assert(
    fc.asyncProperty(pairs, async ({before, after: plain, values, words}) => {
      const place = {name: freshName(), backend: 'memory', size: '256KB'} as const;
      const first = await openStore({...place, schema: schemaOf(before)});
      fill(first.root as Record<string, unknown>, before, values);
      let {shared} = first;
      let held = contentOf(first.toJSON(), before);
      first.close();
      const {roots: after, renames, say, values: told} = retold(before, plain, words);
      const open = (roots: Roots, more: Partial<StoreOptions<Schema>> = {}) =>
        openStore({...place, shared, schema: schemaOf(roots), ...more});
      const refused = async (roots: Roots, more: Partial<StoreOptions<Schema>> = {}) => {
        const bytes = Buffer.from(new Uint8Array(shared));
        const error = await refusal(open(roots, more));
        t.true(bytes.equals(new Uint8Array(shared)), `a refusal changed the store: ${error.message}`);
        return error;
      };
      /** One way: refused first if it loses something, then taken with that said. */
      const go = async (
        to: Roots,
        lost: readonly string[],
        expected: Values,
        more: Partial<StoreOptions<Schema>>,
      ) => {
        if (lost.length > 0) {
          counts.lost++;
          const error = await refused(to, more);
          t.is(error.code, 'ERR_SCHEMA_MISMATCH');
          t.deepEqual(listed(error.message).sort(), [...lost].sort(), error.message);
        }
        const store = await open(to, {...more, drop: lost});
        t.deepEqual(contentOf(store.toJSON(), to), expected);
        t.deepEqual(store.check().problems, []);
        ({shared} = store);
        store.close();
      };

      const forth = judge(before, plain, held);
      if (forth.differs) {
        counts.unlike++;
        const error = await refused(after, {renames, drop: forth.lost});
        t.regex(error.message, / was a \w+ and is to be a /);
        t.is(error.code, 'ERR_SCHEMA_MISMATCH');
      } else if (forth.unfit) {
        counts.unfit++;
        t.is((await refused(after, {renames, drop: forth.lost})).code, 'ERR_VALUE');
      } else {
        counts.carried++;
        await go(after, forth.lost, told(forth.expected), {renames});
        held = forth.expected;
        // A program of before, and the new one again: neither says what has which name.
        const back = judge(plain, before, held);
        if (!back.unfit) {
          counts.back++;
          await go(before, back.lost.map(say), back.expected, {});
          const again = judge(before, plain, back.expected);
          if (!again.unfit) await go(after, again.lost, told(again.expected), {});
        }
      }
    }),
    {seed, numRuns: Number(process.env['ZLR_FUZZ'] ?? 150)},
  );
  t.log(`seed ${seed}: ${JSON.stringify(counts)}`);
  for (const [what, count] of Object.entries(counts)) t.true(count > 0, what);
});
