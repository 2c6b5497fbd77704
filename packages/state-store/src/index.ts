export {StoreError, type StoreErrorCode} from './errors.js';
export type {FixedBytesType, FixedStringType} from './fixed.js';
export type {RawType} from './raw.js';
// An exported schema's type is spelled with these, so that declaration files can name it.
export type {BigType, BoolType, EnumType, NumberType, UintType} from './scalars.js';
export {openStore, type RootOf, type Schema, Store, type StoreInfo, type StoreOptions} from './store.js';
export {type Fields, type InitOf, type RecordOf, Struct, struct} from './struct.js';
export {t} from './t.js';
export type {Table, TableLayout, TableMeta, TableOptions, TableRecord, TableType} from './table.js';
export {type AnyType, Type} from './type.js';
