export type {CollectionType} from './collections/collection.js';
export type {List, ListType} from './collections/list.js';
export type {MapType, StoreMap} from './collections/map.js';
export type {RawType} from './collections/raw.js';
export type {RefType} from './collections/ref.js';
export type {Ring, RingType} from './collections/ring.js';
export type {Range, SortedMap, SortedType} from './collections/sorted.js';
export type {
  Scan,
  Table,
  TableLayout,
  TableMeta,
  TableOptions,
  TableRecord,
  TableType,
} from './collections/table.js';
export type {Vector, VectorType} from './collections/vector.js';
export {t} from './declaration/t.js';
export {StoreError, type StoreErrorCode} from './errors.js';
export type {Renames} from './migration/plan.js';
export {openStore, readStore, repairStore, type StoreOptions} from './opening/open.js';
export {listStores, removeOrphanedStores, removeStore, type StoreListing} from './outside/catalog.js';
export {dumpStore, loadStore, type Place} from './outside/dump.js';
export type {SetAside} from './repair/ledger.js';
export type {RepairResult} from './repair/repair.js';
export type {AddressType} from './schema/address.js';
export type {ArrayType, FixedArray} from './schema/array.js';
// An exported schema's type is spelled with these and their like, so that declaration files can name it.
export type {FixedBytesType, FixedStringType} from './schema/fixed.js';
export type {Fields, InitOf, PlainOf, RecordMeta, RecordOf} from './schema/record.js';
export type {BigType, BoolType, EnumType, NumberType, TimestampType, UintType} from './schema/scalars.js';
export {Struct, type StructOptions, struct} from './schema/struct.js';
export {type AnyType, Type, type TypeDescription} from './schema/type.js';
export type {UnionInit, UnionOf, UnionPlain, UnionType, Variants} from './schema/union.js';
export type {BytesType, FlatBufferType, StringType} from './schema/variable.js';
export type {CheckResult} from './segment/check.js';
export {type RootOf, type Schema, Store, type StoreInfo} from './store/store.js';
export type {Change, Changes} from './store/watch.js';
