import {createHash} from 'node:crypto';
import * as flatbuffers from 'flatbuffers';
import {ListType} from '../collections/list.js';
import {MapType} from '../collections/map.js';
import {RawType} from '../collections/raw.js';
import {RefType} from '../collections/ref.js';
import {RingType} from '../collections/ring.js';
import {SortedType} from '../collections/sorted.js';
import {TableType} from '../collections/table.js';
import {VectorType} from '../collections/vector.js';
import {StoreError} from '../errors.js';
import {AddressType} from '../schema/address.js';
import {ArrayType} from '../schema/array.js';
import {FixedBytesType, FixedStringType} from '../schema/fixed.js';
import type {Fields} from '../schema/record.js';
import {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from '../schema/scalars.js';
import {Struct} from '../schema/struct.js';
import type {AnyType, TypeDescription} from '../schema/type.js';
import {OptionalType} from '../schema/type.js';
import {UnionType} from '../schema/union.js';
import {BytesType, StringType} from '../schema/variable.js';

/*
 * The schema as it stands in the segment: a FlatBuffer, so that any language with FlatBuffers can read it.
 *
 *   table Type  { kind: string; size: uint; name: string; length: uint; names: [string]; of: [Type]; fields: [Field];
 *                 lengthHigh: uint; lineage: [Ancestor]; }
 *   table Field { name: string; offset: uint; type: Type; }
 *   table Ancestor { fingerprint: string; names: [string]; }
 *   root_type Type;
 *
 * lengthHigh * 2^32 + length: a raw region alone may have 4 GiB and more. A ref names its struct only; the struct itself stands where a collection holds it.
 * The root alone has a lineage: the schemas that the store had before, the latest first. `fingerprint` is in hex; `names`
 * are pairs, a name as it was in that schema and what it is called now, or '' when it has gone since. What is called now as
 * it was then stands in no pair.
 */
const slot = {
  kind: 0,
  size: 1,
  name: 2,
  length: 3,
  names: 4,
  of: 5,
  fields: 6,
  lengthHigh: 7,
  lineage: 8,
} as const;
const field = {name: 0, offset: 1, type: 2} as const;
const ancestor = {fingerprint: 0, names: 1} as const;

/** More are not remembered. */
export const MOST_ANCESTORS = 16;

/** A schema that a store had before, and what became of its names: 'Struct.field', or a root's own. */
export interface Ancestor {
  /** In hex. */
  readonly fingerprint: string;
  /** Of each name that is another one now, what it is called, at several places perhaps; none when it has gone. */
  readonly names: ReadonlyMap<string, readonly string[]>;
}

function offsets(builder: flatbuffers.Builder, all: number[]): number {
  builder.startVector(4, all.length, 4);
  for (const offset of all.reverse()) builder.addOffset(offset);
  return builder.endVector();
}

function strings(builder: flatbuffers.Builder, all: readonly string[]): number {
  return offsets(
    builder,
    all.map(text => builder.createSharedString(text)),
  );
}

function writeAncestor(builder: flatbuffers.Builder, {fingerprint, names}: Ancestor): number {
  const pairs = [...names].flatMap(([then, now]) => (now.length === 0 ? [''] : now).flatMap(n => [then, n]));
  const [made, listed] = [builder.createString(fingerprint), strings(builder, pairs)];
  builder.startObject(2);
  builder.addFieldOffset(ancestor.fingerprint, made, 0);
  builder.addFieldOffset(ancestor.names, listed, 0);
  return builder.endObject();
}

function write(
  builder: flatbuffers.Builder,
  type: TypeDescription,
  lineage: readonly Ancestor[] = [],
): number {
  const parts: [number, number][] = [[slot.kind, builder.createSharedString(type.kind)]];
  if (type.name !== undefined) parts.push([slot.name, builder.createSharedString(type.name)]);
  if (type.names) parts.push([slot.names, strings(builder, type.names)]);
  if (type.of)
    parts.push([
      slot.of,
      offsets(
        builder,
        type.of.map(of => write(builder, of)),
      ),
    ]);
  if (type.fields) {
    const all = type.fields.map(({name, offset, type: of}) => {
      const [named, typed] = [builder.createSharedString(name), write(builder, of)];
      builder.startObject(3);
      builder.addFieldOffset(field.name, named, 0);
      builder.addFieldInt32(field.offset, offset, 0);
      builder.addFieldOffset(field.type, typed, 0);
      return builder.endObject();
    });
    parts.push([slot.fields, offsets(builder, all)]);
  }
  if (lineage.length > 0)
    parts.push([
      slot.lineage,
      offsets(
        builder,
        lineage.map(each => writeAncestor(builder, each)),
      ),
    ]);
  builder.startObject(9);
  for (const [index, offset] of parts) builder.addFieldOffset(index, offset, 0);
  builder.addFieldInt32(slot.size, type.size, 0);
  const length = type.length ?? 0;
  builder.addFieldInt32(slot.length, length % 2 ** 32, 0);
  builder.addFieldInt32(slot.lengthHigh, Math.floor(length / 2 ** 32), 0);
  return builder.endObject();
}

export function encodeSchema(description: TypeDescription, lineage: readonly Ancestor[] = []): Uint8Array {
  const builder = new flatbuffers.Builder(1024);
  builder.finish(write(builder, description, lineage));
  return builder.asUint8Array();
}

/** So much text is read of any schema; of a large one, so much for each of its bytes: strings are shared. */
const LEAST_TEXT = 2 ** 24;
const TEXT_PER_BYTE = 64;

/** A buffer whose offsets may run in circles, or name the same text again and again: no more is read of it than it can hold. */
class Blob {
  readonly bb: flatbuffers.ByteBuffer;
  private words: number;
  private text: number;
  constructor(bytes: Uint8Array) {
    this.bb = new flatbuffers.ByteBuffer(bytes);
    this.words = bytes.length / 4;
    this.text = Math.max(LEAST_TEXT, bytes.length * TEXT_PER_BYTE);
  }
  /** Each table and each place in a list takes a word of its own. */
  take(words: number): void {
    this.words -= words;
    if (!(this.words >= 0)) throw new Error('its types are nested without end');
  }
  string(at: number): string {
    const text = this.bb.__string(at) as string;
    this.text -= text.length;
    if (this.text < 0) throw new Error('its names are longer than it is');
    return text;
  }
}

class Table {
  private readonly bb: flatbuffers.ByteBuffer;
  constructor(
    private readonly blob: Blob,
    private readonly at: number,
  ) {
    this.bb = blob.bb;
    blob.take(1);
  }
  private find(index: number): number {
    const offset = this.bb.__offset(this.at, 4 + index * 2);
    return offset === 0 ? 0 : this.at + offset;
  }
  int(index: number): number {
    const at = this.find(index);
    return at === 0 ? 0 : this.bb.readUint32(at);
  }
  string(index: number): string | undefined {
    const at = this.find(index);
    return at === 0 ? undefined : this.blob.string(at);
  }
  table(index: number): Table {
    return new Table(this.blob, this.bb.__indirect(this.find(index)));
  }
  vector<T>(index: number, each: (at: number) => T): T[] | undefined {
    const at = this.find(index);
    if (at === 0) return undefined;
    const start = this.bb.__vector(at);
    const length = this.bb.__vector_len(at);
    if (!(start + length * 4 <= this.bb.capacity())) throw new Error(`a list of ${length} in it has no end`);
    this.blob.take(length);
    return Array.from({length}, (_, i) => each(start + i * 4));
  }
  tables(index: number): Table[] | undefined {
    return this.vector(index, at => new Table(this.blob, this.bb.__indirect(at)));
  }
  strings(index: number): string[] | undefined {
    return this.vector(index, at => this.blob.string(at));
  }
}

/** Its keys are in the order in which the types themselves give them, of which the fingerprint is made. */
function read(table: Table, depth = 0): TypeDescription {
  if (depth > 64) throw new Error('its types are nested without end');
  const [kind, size] = [table.string(slot.kind) ?? '', table.int(slot.size)];
  const [name, names, of, fields] = [
    table.string(slot.name),
    table.strings(slot.names),
    table.tables(slot.of),
    table.tables(slot.fields),
  ];
  const description: TypeDescription =
    kind === 'struct' && name !== undefined
      ? {kind, name, size}
      : {kind, size, ...(name === undefined ? {} : {name})};
  const length = table.int(slot.length) + table.int(slot.lengthHigh) * 2 ** 32;
  if (length !== 0) description.length = length;
  if (names) description.names = names;
  if (of) description.of = of.map(each => read(each, depth + 1));
  if (fields)
    description.fields = fields.map(each => ({
      name: each.string(field.name) ?? '',
      offset: each.int(field.offset),
      type: read(each.table(field.type), depth + 1),
    }));
  return description;
}

export function decodeSchema(bytes: Uint8Array, where: string): TypeDescription {
  return decode(bytes, `the schema in ${where}`, root => read(root));
}

/** The schemas before this one, the latest first. */
export function decodeLineage(bytes: Uint8Array, where: string): Ancestor[] {
  return decode(bytes, `the lineage of the schema in ${where}`, root => {
    const tables = root.tables(slot.lineage) ?? [];
    if (tables.length > MOST_ANCESTORS) throw new Error(`it says that there were ${tables.length} before`);
    return tables.map(table => {
      const fingerprint = table.string(ancestor.fingerprint) ?? '';
      const pairs = table.strings(ancestor.names) ?? [];
      if (!/^[0-9a-f]{32}$/.test(fingerprint) || pairs.length % 2 !== 0)
        throw new Error('an ancestor in it is none');
      const names = new Map<string, string[]>();
      for (let i = 0; i < pairs.length; i += 2) {
        const [then, now] = [pairs[i]!, pairs[i + 1]!];
        const known = names.get(then) ?? [];
        if (now !== '') known.push(now);
        names.set(then, known);
      }
      return {fingerprint, names};
    });
  });
}

function decode<T>(bytes: Uint8Array, what: string, from: (root: Table) => T): T {
  try {
    const blob = new Blob(bytes);
    return from(new Table(blob, blob.bb.readInt32(0)));
  } catch (cause) {
    throw new StoreError(
      'ERR_CORRUPT',
      `${what} cannot be read (${(cause as Error).message}); the segment was left untouched.`,
      {cause},
    );
  }
}

/** What tells schemas apart. */
export function fingerprintOf(description: TypeDescription): Buffer {
  return createHash('sha256').update(JSON.stringify(description)).digest().subarray(0, 16);
}

/** A schema from its description, for tools that read a store without the program that made it. */
export function schemaFrom(root: TypeDescription): Fields {
  const structs = new Map<string, {struct: Struct<Fields>; description: string}>();
  const make = (d: TypeDescription): AnyType => {
    const of = () => d.of!.map(make) as [AnyType, AnyType];
    switch (d.kind) {
      case 'u8':
      case 'u16':
      case 'u32':
      case 'i8':
      case 'i16':
      case 'i32':
      case 'f32':
      case 'f64':
        return new NumberType(d.kind);
      case 'u64':
      case 'i64':
        return new BigType(d.kind);
      case 'uint':
        return new UintType();
      case 'bool':
        return new BoolType();
      case 'enum':
        return new EnumType(d.names!);
      case 'address':
        return new AddressType();
      case 'timestamp':
        return new TimestampType();
      case 'fixedString':
        return new FixedStringType(d.length!);
      case 'fixedBytes':
        return new FixedBytesType(d.length!);
      case 'string':
        return new StringType();
      case 'bytes':
      case 'flatbuffer': // shown as the bytes they are: what reads them is generated code
        return new BytesType();
      case 'optional':
        return new OptionalType(of()[0]);
      case 'array':
        return new ArrayType(of()[0], d.length!);
      case 'union':
        return new UnionType(Object.fromEntries(d.names!.map((tag, i) => [tag, make(d.of![i]!)])));
      case 'ref':
        return new RefType(
          () => structs.get(d.name!)?.struct ?? new Struct(d.name!, {unknown: new NumberType('u8')}),
        );
      case 'struct': {
        // One struct, wherever it stands: refs tell structs apart.
        const [known, description] = [structs.get(d.name!), JSON.stringify(d)];
        if (known?.description === description) return known.struct;
        const struct = new Struct(d.name!, Object.fromEntries(d.fields!.map(f => [f.name, make(f.type)])));
        structs.set(d.name!, {struct, description});
        return struct;
      }
      case 'table':
        return new TableType(
          make(d.of![0]!) as Struct<Fields>,
          d.length === undefined ? {} : {capacity: d.length},
        );
      case 'map':
        return new MapType(...of());
      case 'sorted':
        return new SortedType(...of());
      case 'vector':
        return new VectorType(of()[0]);
      case 'list':
        return new ListType(of()[0]);
      case 'ring':
        return new RingType(of()[0], d.length!);
      case 'raw':
        return new RawType(d.length!);
      default:
        throw new StoreError(
          'ERR_VERSION',
          `the store holds a type '${d.kind}' that this library does not know.`,
        );
    }
  };
  return Object.fromEntries(root.fields!.map(f => [f.name, make(f.type)]));
}
