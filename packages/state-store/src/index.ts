export type {AddressType} from './address.js';
export type {ArrayType, FixedArray} from './array.js';
export {listStores, removeOrphanedStores, removeStore, type StoreListing} from './catalog.js';
export type {CheckResult} from './check.js';
export type {CollectionType} from './collection.js';
export {dumpStore, loadStore, type Place} from './dump.js';
export {StoreError, type StoreErrorCode} from './errors.js';
// An exported schema's type is spelled with these and their like, so that declaration files can name it.
export type {FixedBytesType, FixedStringType} from './fixed.js';
export type {SetAside} from './ledger.js';
export type {List, ListType} from './list.js';
export type {MapType, StoreMap} from './map.js';
export type {Renames} from './migrate.js';
export {openStore, readStore, repairStore, type StoreOptions} from './open.js';
export type {RawType} from './raw.js';
export type {RefType} from './ref.js';
export type {RepairResult} from './repair.js';
export type {Ring, RingType} from './ring.js';
export type {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from './scalars.js';
export type {Range, SortedMap, SortedType} from './sorted.js';
export {type RootOf, type Schema, Store, type StoreInfo} from './store.js';
export {
  type Fields,
  type InitOf,
  type PlainOf,
  type RecordMeta,
  type RecordOf,
  Struct,
  type StructOptions,
  struct,
} from './struct.js';
export {t} from './t.js';
export type {Scan, Table, TableLayout, TableMeta, TableOptions, TableRecord, TableType} from './table.js';
export {type AnyType, Type, type TypeDescription} from './type.js';
export type {UnionInit, UnionOf, UnionPlain, UnionType, Variants} from './union.js';
export type {BytesType, FlatBufferType, StringType} from './variable.js';
export type {Vector, VectorType} from './vector.js';
export type {Change} from './watch.js';
