/**
 * Reads and writes a string field of 1,000 records.
 *
 * Goal: what it costs to make a JS string of shared memory, beside Buffer.toString of the same bytes, which is the least
 * that anybody pays, and what a crash-safe write of one costs. Plain objects hold a string already made: their bound.
 * No goal: texts of many kilobytes, where copying is all.
 */
import {setImmediate} from 'node:timers/promises';
import {DRAW_MASK, draw} from './rows.mjs';
import {text} from './texts.mjs';

/** @typedef {import('./measured.mjs').Pass} Pass */

const SPACE = 512;

/** The texts a setting writes, and those its records begin with. @param {Record<string, unknown>} setting @param {() => number} random */
function textsOf({units, wide}, random) {
  return Array.from({length: 1024}, () => text(random, Number(units), wide === true));
}

/**
 * The strings of typed-struct work once it has looked for optional packages, and it does not say when.
 * @param {typeof import('typed-struct').Struct} Struct
 */
async function stringsWork(Struct) {
  const Probe = new Struct('Probe').String('text', 4).compile();
  for (;;) {
    try {
      new Probe().text = 'here';
      return;
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      await setImmediate();
    }
  }
}

/** @param {Uint32Array} order @param {(i: number) => string} get @returns {Pass} */
function getting(order, get) {
  let at = 0;
  return operations => {
    let sum = 0;
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++) {
      const value = get(order[step & DRAW_MASK]);
      sum += value.charCodeAt(step % value.length);
    }
    return sum;
  };
}

/** @param {Uint32Array} order @param {string[]} texts @param {(i: number, value: string) => void} set @param {(i: number) => string} get @returns {Pass} */
function setting(order, texts, set, get) {
  let at = 0;
  return operations => {
    const first = at;
    at += operations;
    for (let step = first, end = at; step < end; step++) set(order[step & DRAW_MASK], texts[step & 1023]);
    let sum = 0;
    for (let i = 0; i < 20; i++) sum += get(i).charCodeAt(i % 8);
    return sum;
  };
}

/** @param {Record<string, unknown>} of @param {Uint32Array} order @param {string[]} texts @param {(i: number) => string} get @param {(i: number, value: string) => void} set */
function passOf({kind}, order, texts, get, set) {
  return kind === 'get' ? getting(order, get) : setting(order, texts, set, get);
}

/** @param {any} type of the field @param {any} of @param {import('./measured.mjs').Place} place */
async function inStore(type, of, {random, name, defer}) {
  const {openStore, struct, t} = await import('@zlr/state-store');
  const texts = textsOf(of, random);
  const order = draw(random, of.records);
  const Named = struct('Named', {id: t.u32, name: type(t)});
  const store = await openStore({name, size: '8MB', schema: {rows: t.table(Named)}});
  defer(() => store.destroy());
  const rows = Array.from({length: of.records}, (_, i) =>
    store.root.rows.insert({id: i, name: texts[i & 1023]}),
  );
  return passOf(
    of,
    order,
    texts,
    i => /** @type {string} */ (rows[i].name),
    (i, value) => {
      rows[i].name = value;
    },
  );
}

const isWide = (/** @type {import('./measured.mjs').Setting} */ {wide}) => wide === true;

/** @type {import('./measured.mjs').TimedCase} */
export default {
  title: 'a string field of one of 1,000 records',
  unit: 'ns per string',
  baseline: 'Buffer, by hand',
  settings: small =>
    [
      {name: 'get, 20 latin1', kind: 'get', units: 20},
      {name: 'get, 200 latin1', kind: 'get', units: 200},
      {name: 'get, 20 others', kind: 'get', units: 20, wide: true},
      {name: 'set, 20 latin1', kind: 'set', units: 20},
      {name: 'set, 200 latin1', kind: 'set', units: 200},
    ]
      .filter(({units}) => !small || units < 100)
      .map(each => ({...each, records: small ? 20 : 1000})),
  // One appends at every write until it is full, the other cannot write a longer text than is there.
  leftOut: (setting, contender) =>
    setting.kind === 'set' && ['@bnaya/objectbuffer', 'structurae'].includes(contender),
  contenders: {
    'state-store, t.string()': (of, place) => inStore((/** @type {any} */ t) => t.string(), of, place),
    'state-store, t.string(max)': (of, place) => inStore((/** @type {any} */ t) => t.string(252), of, place),
    'Buffer, by hand'(of, {random}) {
      const texts = textsOf(of, random);
      const order = draw(random, of.records);
      const bytes = Buffer.from(new ArrayBuffer(of.records * SPACE));
      const lengths = new Uint32Array(of.records);
      const encoding = isWide(of) ? 'utf16le' : 'latin1';
      const set = (/** @type {number} */ i, /** @type {string} */ value) => {
        lengths[i] = bytes.write(value, i * SPACE, encoding);
      };
      for (let i = 0; i < of.records; i++) set(i, texts[i & 1023] ?? '');
      return passOf(of, order, texts, i => bytes.toString(encoding, i * SPACE, i * SPACE + lengths[i]), set);
    },
    'plain objects'(of, {random}) {
      const texts = textsOf(of, random);
      const order = draw(random, of.records);
      const rows = Array.from({length: of.records}, (_, i) => ({id: i, name: texts[i & 1023] ?? ''}));
      return passOf(
        of,
        order,
        texts,
        i => rows[i].name,
        (i, value) => {
          rows[i].name = value;
        },
      );
    },
    async structurae(of, {random}) {
      const {View} = await import('structurae');
      const texts = textsOf(of, random);
      const order = draw(random, of.records);
      // A map, as it calls objects with fields of any length: what a fixed one reads ends in zeros.
      const Named = new View(new DataView(new ArrayBuffer(2 ** 16))).create(
        /** @type {any} */ ({
          $id: 'Named',
          type: 'object',
          btype: 'map',
          properties: {id: {type: 'integer', btype: 'uint32'}, name: {type: 'string'}},
          required: ['id'],
        }),
      );
      const rows = Array.from(
        {length: of.records},
        (_, i) => /** @type {any} */ (Named.from(/** @type {any} */ ({id: i, name: texts[i & 1023]}))),
      );
      return getting(order, i => rows[i].get('name'));
    },
    async 'typed-struct'(of, {random}) {
      const {Struct} = await import('typed-struct');
      await stringsWork(Struct);
      const texts = textsOf(of, random);
      const order = draw(random, of.records);
      const Named = new Struct('Named').UInt32LE('id').String('name', 252).compile();
      const rows = Array.from({length: of.records}, (_, i) => {
        const record = new Named();
        record.id = i;
        record.name = texts[i & 1023] ?? '';
        return record;
      });
      return passOf(
        of,
        order,
        texts,
        i => rows[i].name,
        (i, value) => {
          rows[i].name = value;
        },
      );
    },
    async '@bnaya/objectbuffer'(of, {random}) {
      const encoding = {textEncoder: new TextEncoder(), textDecoder: new TextDecoder()};
      const {createObjectBuffer} = await import('@bnaya/objectbuffer');
      const texts = textsOf(of, random);
      const order = draw(random, of.records);
      const {rows} = /** @type {any} */ (
        createObjectBuffer(encoding, 2 ** 23, {
          rows: Array.from({length: of.records}, (_, i) => ({id: i, name: texts[i & 1023]})),
        })
      );
      return getting(order, i => rows[i].name);
    },
  },
  goals: ['20 latin1', '200 latin1', '20 others'].map(what => ({
    text: `get, ${what}: at most 1.5 x Buffer.toString`,
    setting: `get, ${what}`,
    of: 'state-store, t.string()',
    beside: 'Buffer, by hand',
    atMost: 1.5,
  })),
};
