export {StoreError, type StoreErrorCode} from './errors.js';
export {openStore, type RootOf, type Schema, Store, type StoreInfo, type StoreOptions} from './store.js';
export {type Fields, type InitOf, type RecordOf, Struct, struct} from './struct.js';
export {t} from './t.js';
export type {Table, TableLayout, TableOptions, TableRecord} from './table.js';
export {type AnyType, Type} from './type.js';
