/*
 * `@zlr/kernel-shim/internal`: the addon, how options are looked at and how an operator is told, as the packages of this repository use it;
 * nothing else is loaded with it. It may change with any release; what programs need of it is exported by the package itself.
 */
export {comesBack, isAhead} from './backend/birth.js';
export {errnoName} from './errors.js';
export * from './native.js';
export * from './options.js';
export * from './say.js';
