/**
 * @typedef {{title: string, names: string[]}} Section
 * @typedef {{file: string, title: string, intro: string, sections: Section[]}} Page
 */

/**
 * Which export stands where, in the order a reader needs it.
 * @type {Page[]}
 */
export const pages = [
  {
    file: 'store.md',
    title: 'Stores',
    intro:
      'Opening a store, what an open one can do, copies of it, errors. Whatever the kind of call, a store that was closed ' +
      'throws `ERR_CLOSED`, a write through one opened for reading `ERR_READONLY`, and a segment that contradicts itself ' +
      '`ERR_CORRUPT`; the entries below do not repeat it.',
    sections: [
      {title: 'Opening', names: ['openStore', 'StoreOptions', 'Renames', 'readStore', 'repairStore']},
      {
        title: 'An open store',
        names: [
          'Store',
          'RootOf',
          'StoreInfo',
          'CheckResult',
          'RepairResult',
          'SetAside',
          'Change',
          'Changes',
        ],
      },
      {
        title: 'Copies and housekeeping',
        names: [
          'dumpStore',
          'loadStore',
          'Place',
          'listStores',
          'removeStore',
          'removeOrphanedStores',
          'StoreListing',
        ],
      },
      {title: 'Errors', names: ['StoreError', 'StoreErrorCode']},
    ],
  },
  {
    file: 'types.md',
    title: 'Schemas and types',
    intro:
      'What a schema is written in, and the types that TypeScript infers from it. What each type reads as and takes, side ' +
      'by side: [the table in the README](../../../packages/state-store/README.md#types).',
    sections: [
      {title: 'Declaring', names: ['struct', 'StructOptions', 't', 'Schema', 'Fields', 'Variants']},
      {title: 'Records', names: ['RecordOf', 'RecordMeta', 'InitOf', 'PlainOf']},
      {title: 'Unions', names: ['UnionOf', 'UnionInit', 'UnionPlain']},
      {title: 'Types of types', names: ['Type', 'AnyType', 'Struct', 'TypeDescription', '*']},
    ],
  },
  {
    file: 'collections.md',
    title: 'Collections',
    intro:
      'What the collections of a schema open as, at `store.root`. Each method that writes is one transaction, or a part of ' +
      'the one around it. A store that was closed throws `ERR_CLOSED`, a write through one opened for reading ' +
      '`ERR_READONLY`, one through a record that was removed `ERR_STALE`, a transaction too large for the undo log ' +
      '`ERR_TRANSACTION`; the entries below do not repeat it.',
    sections: [
      {title: 'Tables', names: ['Table', 'Scan', 'TableRecord', 'TableMeta', 'TableOptions', 'TableLayout']},
      {title: 'Maps', names: ['StoreMap', 'SortedMap', 'Range']},
      {title: 'Rows', names: ['Vector', 'Ring', 'List']},
      {title: 'In a record', names: ['FixedArray']},
    ],
  },
];

/** How the entries call an instance. */
export const instances = new Map(
  Object.entries({
    Store: 'store',
    StoreError: 'error',
    Table: 'table',
    StoreMap: 'map',
    SortedMap: 'sorted',
    Vector: 'vector',
    Ring: 'ring',
    List: 'list',
    FixedArray: 'array',
    RecordMeta: 'record',
    Type: 'type',
    Struct: 'struct',
  }),
);
