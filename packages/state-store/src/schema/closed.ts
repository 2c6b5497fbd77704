import {StoreError, show} from '../errors.js';

/** By this property a live record tells the fields of its struct. */
export const FIELDS = Symbol('fields');

/** True for a name that an array would take for an index. */
function isIndex(name: string | symbol): name is string {
  return typeof name === 'string' && /^-?\d+$/.test(name);
}

/**
 * The end of the prototype chain of records and collections, before Object.prototype. A write to a name that neither the object
 * nor its class has comes here, and so does a read. No object has to be sealed for it, which would cost each record that
 * is made a call, and what is there is found before: it costs nothing.
 */
function closing(complaint: (name: string | symbol, receiver: object) => string, indexed: boolean): object {
  const end: ProxyHandler<object> = {
    set(_target, name, _value, receiver: object) {
      throw new StoreError('ERR_VALUE', complaint(name, receiver));
    },
  };
  if (indexed)
    end.get = (target, name, receiver: object) => {
      if (isIndex(name)) throw new StoreError('ERR_VALUE', complaint(name, receiver));
      return Reflect.get(target, name, receiver);
    };
  // Whoever gets a record or a collection from a function looks whether it is a promise: an answer near at hand.
  // biome-ignore lint/suspicious/noThenProperty: it says that it is none
  return Object.create(new Proxy({}, end), {then: {value: undefined}});
}

const RECORD = closing((name, receiver) => {
  const fields = (receiver as {[FIELDS]?: object})[FIELDS] ?? {};
  return `there is no field ${show(String(name))}: the struct has ${Object.keys(fields).join(', ')}.`;
}, false);

const COLLECTION = closing(
  (name, receiver) =>
    isIndex(name)
      ? `[${name}] of a ${receiver.constructor.name} is no element of it: a collection is read and written by its methods, such as at(${name}).`
      : `a ${receiver.constructor.name} has no property ${show(String(name))} to assign; it is written by its methods.`,
  true,
);

/** Instances of this class refuse names that they do not have. */
export function closeRecord(prototype: object): void {
  Object.setPrototypeOf(prototype, RECORD);
}

/** The same for a class of collections, which have no elements by index either. */
export function closeCollection(prototype: object): void {
  Object.setPrototypeOf(prototype, COLLECTION);
}
