// Prints what is in a store, by its bytes alone: node read-segment.mjs FILE; with --quarantine, what was set aside.
// Written from format.md and nothing else; it imports no part of the library. A test compares it with the library.
import {readFileSync} from 'node:fs';

const bytes = readFileSync(process.argv[2]);
const u8 = at => bytes.readUInt8(at);
const u32 = at => bytes.readUInt32LE(at);
const u64 = at => bytes.readBigUInt64LE(at);
const CELL = 8;

// --- header
if (bytes.toString('latin1', 0, 8) !== 'ZLRSTORE') throw new Error('no store');
if (u32(8) !== 2) throw new Error(`format version ${u32(8)}`);
const [logAt, logBytes] = [u32(128) * CELL, u32(132) * CELL];
const [schemaAt, rootAt] = [u32(136) * CELL, u32(144) * CELL];

// --- a transaction that was under way is undone (in this copy)
const capacity = 2 ** Math.floor(Math.log2(logBytes / 12));
for (let k = u32(256); k !== u32(260); ) {
  k = (k - 1) >>> 0;
  const entry = logAt + (k % capacity) * 12;
  bytes.writeUInt32LE(u32(entry + 4), u32(entry) * CELL);
  bytes.writeUInt32LE(u32(entry + 8), u32(entry) * CELL + 4);
}

// --- the heap: blocks end to end, the free ones each in the list of its class
const sizeOf = i => (i < 7 ? i + 2 : (5 + ((i - 7) % 4)) * 2 ** (Math.floor((i - 7) / 4) + 1));
const [USED, FREE, ENCLOSED] = [0x44455355, 0x45455246, 0x534f4c43];
const [heapTop, heapLimit, heapEnd] = [u32(320), u32(328), u32(156)];
const free = new Set();
let block = u32(152);
for (; block < heapTop; block += u32(block * CELL)) {
  const state = u32(block * CELL + 4);
  if (state === FREE) free.add(block);
  else if (state !== USED && state !== ENCLOSED) throw new Error(`no block at cell ${block}`);
}
if (block !== heapTop || heapTop > heapLimit || heapLimit > heapEnd)
  throw new Error('the heap has another end');
for (let i = 0; i < 120; i++)
  for (let cell = u32(512 + i * 4); cell !== 0; cell = u32(cell * CELL + 8)) {
    const cells = u32(cell * CELL);
    if (!free.delete(cell) || cells < sizeOf(i) || cells >= sizeOf(i + 1))
      throw new Error(`cell ${cell} in the list of class ${i}`);
  }
for (const cell of free)
  if (u32(344) === 0 || cell < u32(344)) throw new Error(`the free block at cell ${cell} is in no list`);

// --- the schema, a FlatBuffer
function slotOf(table, index) {
  const vtable = table - bytes.readInt32LE(table);
  const offset = 4 + index * 2 < bytes.readUInt16LE(vtable) ? bytes.readUInt16LE(vtable + 4 + index * 2) : 0;
  return offset === 0 ? 0 : table + offset;
}
const indirect = at => at + u32(at);
function textAt(at) {
  const start = indirect(at);
  return bytes.toString('utf8', start + 4, start + 4 + u32(start));
}
function vectorAt(at, each) {
  if (at === 0) return [];
  const start = indirect(at);
  return Array.from({length: u32(start)}, (_, i) => each(start + 4 + i * 4));
}
function typeAt(table) {
  const [kind, size, name, length, names, of, fields, high] = [0, 1, 2, 3, 4, 5, 6, 7].map(i =>
    slotOf(table, i),
  );
  const type = {
    kind: textAt(kind),
    size: size && u32(size),
    name: name && textAt(name),
    length: (length && u32(length)) + (high && u32(high)) * 2 ** 32,
    names: vectorAt(names, textAt),
    of: vectorAt(of, at => typeAt(indirect(at))),
    fields: vectorAt(fields, at => {
      const [fieldName, offset, fieldType] = [0, 1, 2].map(i => slotOf(indirect(at), i));
      return {name: textAt(fieldName), offset: offset && u32(offset), type: typeAt(indirect(fieldType))};
    }),
  };
  return {...type, align: alignOf(type)};
}
function alignOf({kind, size, of}) {
  if (kind === 'bool' || kind === 'enum' || kind === 'fixedBytes') return 1;
  if (kind === 'fixedString') return 4;
  if (kind === 'optional') return of[0].align;
  return /^[uif](8|16|32)$/.test(kind) ? size : 8;
}
const root = typeAt(schemaAt + u32(schemaAt));

// --- strings and bytes of any length
function text(at, word) {
  return word >= 2 ** 31
    ? bytes.toString('utf16le', at, at + (word - 2 ** 31) * 2)
    : bytes.toString('latin1', at, at + word);
}
const content = (at, length) => new Uint8Array(bytes.subarray(at, at + length));
const inKey = word => (word >= 2 ** 31 ? (word - 2 ** 31) * 2 : word) <= 28;

// --- slots: of tables, maps, lists and sorted maps
function slots(head) {
  const first = u32(head + 24);
  const extent = slot => (slot < first ? 0 : Math.floor(Math.log2(slot / first)) + 1);
  const from = k => (k === 0 ? 0 : first * 2 ** (k - 1));
  const of = slot => {
    const k = extent(slot);
    return {at: head + 32 + k * 8, index: slot - from(k)};
  };
  const generation = slot => u32(u32(of(slot).at) * CELL + of(slot).index * 4);
  return {
    number: u32(head + 12),
    generation,
    live: slot => slot < u32(head + 8) && generation(slot) % 2 === 1,
    record: slot => (u32(of(slot).at + 4) + of(slot).index * u32(head + 16)) * CELL,
    id: slot => Math.floor(generation(slot) / 2) * 2 ** 26 + slot,
    *[Symbol.iterator]() {
      for (let slot = 0; slot < u32(head + 8); slot++) if (generation(slot) % 2 === 1) yield slot;
    },
  };
}
const growing = (4 + 24) * CELL; // bytes of the head of slots that grow
const numbered = new Map();
for (const {type, offset} of root.fields)
  if (['table', 'map', 'list', 'sorted'].includes(type.kind)) {
    const collection = slots(rootAt + offset);
    numbered.set(collection.number, collection);
  }

const stride = type => Math.ceil(type.size / type.align) * type.align;
const cellsOf = type => Math.ceil(type.size / CELL) * CELL;

// --- values
function value(type, at) {
  switch (type.kind) {
    case 'u8':
      return u8(at);
    case 'u16':
      return bytes.readUInt16LE(at);
    case 'u32':
      return u32(at);
    case 'i8':
      return bytes.readInt8(at);
    case 'i16':
      return bytes.readInt16LE(at);
    case 'i32':
      return bytes.readInt32LE(at);
    case 'f32':
      return bytes.readFloatLE(at);
    case 'f64':
      return bytes.readDoubleLE(at);
    case 'u64':
      return u64(at);
    case 'i64':
      return bytes.readBigInt64LE(at);
    case 'uint':
      return Number(u64(at));
    case 'timestamp':
      return new Date(Number(bytes.readBigInt64LE(at)));
    case 'bool':
      return u8(at) !== 0;
    case 'enum':
      return type.names[u8(at)];
    case 'fixedString':
      return bytes.toString('utf8', at + 4, at + 4 + u32(at));
    case 'fixedBytes':
      return content(at, type.length);
    case 'string':
      return text(u32(at) * CELL, u32(at + 4));
    case 'bytes':
    case 'flatbuffer':
      return content(u32(at) * CELL, u32(at + 4));
    case 'optional':
      return u8(at + type.of[0].size) === 0 ? null : value(type.of[0], at);
    case 'array':
      return row(type.of[0], at, type.length);
    case 'union':
      return {tag: type.names[u8(at)], value: value(type.of[u8(at)], at + CELL)};
    case 'struct':
      return Object.fromEntries(type.fields.map(f => [f.name, value(f.type, at + f.offset)]));
    case 'address':
      return u64(at) === 0n ? null : Number(u64(at) - u64(176));
    case 'ref': {
      const [low, generation] = [u32(at), u32(at + 4)];
      const [collection, slot] = [numbered.get(low >>> 26), low % 2 ** 26];
      return generation !== 0 && collection.live(slot) && collection.generation(slot) === generation
        ? collection.id(slot)
        : null;
    }
    case 'table': {
      const records = slots(at);
      return [...records].map(slot => ({$id: records.id(slot), ...value(type.of[0], records.record(slot))}));
    }
    case 'map': {
      const [entries, [key, of]] = [slots(at), type.of];
      const packed = key.kind === 'string' || key.kind === 'bytes';
      return [...entries].map(slot => {
        const entry = entries.record(slot);
        const hash = packed ? packedHash : integerHash;
        find(at + growing, hash(key, entry, u32(at + growing + 12)), slot);
        return [packed ? packedKey(key, entry) : value(key, entry), value(of, entry + (packed ? 32 : 8))];
      });
    }
    case 'sorted': {
      const [nodes, [key, of]] = [slots(at), type.of];
      const found = [];
      for (let node = u32(at + growing); node !== 0; node = u32(nodes.record(node - 1))) {
        const entry = nodes.record(node - 1) + 56;
        found.push([value(key, entry), value(of, entry + cellsOf(key))]);
      }
      return found;
    }
    case 'list': {
      const nodes = slots(at);
      const found = [];
      for (let node = u32(at + growing); node !== 0; node = u32(nodes.record(node - 1) + 4))
        found.push(value(type.of[0], nodes.record(node - 1) + 8));
      return found;
    }
    case 'vector':
      return row(type.of[0], u32(at) * CELL, u32(at + 8));
    case 'ring': {
      const [pushed, places] = [Number(u64(at)), u32(at + 12)];
      const all = row(type.of[0], u32(at + 8) * CELL, Math.min(pushed, places));
      const old = pushed <= places ? 0 : pushed % places;
      return [...all.slice(old), ...all.slice(0, old)].slice(u32(at + 20));
    }
    case 'raw':
      return content(u32(at) * CELL, type.length);
    default:
      throw new Error(`type ${type.kind}`);
  }
}
function row(type, at, count) {
  return Array.from({length: count}, (_, i) => value(type, at + i * stride(type)));
}
function packedKey(type, at) {
  const word = u32(at);
  const from = inKey(word) ? at + 4 : u32(at + 4) * CELL;
  return type.kind === 'string' ? text(from, word) : content(from, word);
}

// --- how a key of a map is found
const finish = h => {
  const mixed = Math.imul(h ^ (h >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
};
function packedHash(type, at, secret) {
  const word = u32(at);
  const [units, wide] = type.kind === 'string' && word >= 2 ** 31 ? [word - 2 ** 31, 2] : [word, 1];
  const from = inKey(word) ? at + 4 : u32(at + 4) * CELL;
  const words = Array.from({length: Math.ceil((units * wide) / 4)}, (_, i) => u32(from + i * 4));
  if (secret !== 0) return keyed([...words, word], secret);
  let h = units;
  for (const each of words) {
    h = Math.imul(h ^ each, 0x9e3779b1);
    h ^= h >>> 15;
  }
  return finish(h);
}
function integerHash(type, at, secret) {
  const key = BigInt(value(type, at));
  const [low, high] = [key, key >> 32n].map(half => Number(BigInt.asIntN(32, half)));
  if (secret !== 0) return keyed([low, high, 0], secret);
  return finish(Math.imul(low, 0x9e3779b1) ^ Math.imul(high, 0x85ebca77));
}
function keyed(words, secret) {
  const v = Int32Array.of(secret, Math.imul(secret, 0x9e3779b1), 0x6c796765, 0x74656462);
  v[2] ^= v[0];
  v[3] ^= v[1];
  const add = (to, from, turn, then) => {
    v[to] += v[from];
    v[from] = rotl(v[from], turn) ^ v[to];
    if (then) v[to] = rotl(v[to], 16);
  };
  const round = () => {
    add(0, 1, 5, true);
    add(2, 3, 8, false);
    add(0, 3, 7, false);
    add(2, 1, 13, true);
  };
  for (const word of words) {
    v[3] ^= word;
    round();
    v[0] ^= word;
  }
  v[2] ^= 0xff;
  for (let i = 0; i < 3; i++) round();
  return (v[1] ^ v[3]) >>> 0;
}
function rotl(word, by) {
  return (word << by) | (word >>> (32 - by));
}
/** Throws unless probing for this hash comes to the entry. */
function find(head, hash, slot) {
  const [index, mask] = [u32(head) * CELL, u32(head + 4)];
  for (let place = (hash & mask) >>> 0; ; place = (place + 1) & mask) {
    const [there, entry] = [u32(index + place * CELL), u32(index + place * CELL + 4)];
    if (entry === slot + 1 && there === hash) return;
    if (entry === 0) throw new Error(`entry ${slot} cannot be found by its key`);
  }
}

// --- what was set aside, oldest first
const quarantine = [];
for (let entry = u32(336); entry !== 0; entry = u32(entry * CELL)) {
  if (u32((entry - 1) * CELL + 4) !== USED) throw new Error(`no entry at cell ${entry}`);
  const text = bytes.toString('utf8', (entry + 1) * CELL, (entry + 1) * CELL + u32(entry * CELL + 4));
  quarantine.unshift(JSON.parse(text));
}
if (quarantine.length !== u32(340)) throw new Error(`${quarantine.length} entries, not ${u32(340)}`);

const plainly = (_key, v) => (typeof v === 'bigint' ? `${v}n` : v instanceof Uint8Array ? [...v] : v);
const shown = process.argv[3] === '--quarantine' ? quarantine : value(root, rootAt);
console.log(JSON.stringify(shown, plainly, 1));
