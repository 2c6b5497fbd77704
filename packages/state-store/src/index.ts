export {listStores, removeStore, type StoreListing} from './catalog.js';
export type {CheckResult} from './check.js';
export {dumpStore, loadStore} from './dump.js';
export {StoreError, type StoreErrorCode} from './errors.js';
export type {FixedBytesType, FixedStringType} from './fixed.js';
export {openStore, readStore, type StoreOptions} from './open.js';
export type {RawType} from './raw.js';
// An exported schema's type is spelled with these, so that declaration files can name it.
export type {BigType, BoolType, EnumType, NumberType, UintType} from './scalars.js';
export {type RootOf, type Schema, Store, type StoreInfo} from './store.js';
export {type Fields, type InitOf, type RecordOf, Struct, struct} from './struct.js';
export {t} from './t.js';
export type {Scan, Table, TableLayout, TableMeta, TableOptions, TableRecord, TableType} from './table.js';
export {type AnyType, Type, type TypeDescription} from './type.js';
export type {Change} from './watch.js';
