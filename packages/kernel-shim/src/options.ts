import {inspect} from 'node:util';

/*
 * What callers give is looked at where it comes in, before anything is done with it: in plain JavaScript nobody else has, and
 * native code takes it at its word. Each package throws the complaint as an error of its own.
 */

/** What an option or an argument must be, in words, and whether a value is that. */
export interface Expected {
  readonly what: string;
  fits(value: unknown): boolean;
}

const expect = (what: string, fits: (value: unknown) => boolean): Expected => ({what, fits});

export const text = expect('a string', value => typeof value === 'string');
/** A string of C ends at its first zero. */
export const systemText = expect(
  'a string without a zero byte',
  value => typeof value === 'string' && !value.includes('\0'),
);
export const call = expect('a function', value => typeof value === 'function');
export const record = expect('an object', value => typeof value === 'object' && value !== null);
export const flag = expect('true or false', value => typeof value === 'boolean');
export const anything = expect('anything', () => true);

export function integer(least: number, most: number): Expected {
  return expect(
    `an integer from ${least} to ${most}`,
    value => Number.isInteger(value) && (value as number) >= least && (value as number) <= most,
  );
}
/** As the system numbers them. */
export const descriptor = integer(0, 2 ** 31 - 1);
export const port = integer(0, 65_535);

export function listOf({what, fits}: Expected): Expected {
  return expect(`an array, each of it ${what}`, value => Array.isArray(value) && value.every(fits));
}
export function mapOf({what, fits}: Expected): Expected {
  return expect(
    `an object, each value ${what}`,
    value => typeof value === 'object' && value !== null && Object.values(value).every(fits),
  );
}
export function optional({what, fits}: Expected): Expected {
  return expect(what, value => value === undefined || fits(value));
}

/**
 * What is wrong with named options or arguments: one that there is not, or a value that does not fit.
 *
 * @param of whose they are, for the message
 * @returns undefined: all is well
 */
export function complaint(
  of: string,
  given: unknown,
  expected: Readonly<Record<string, Expected>>,
): string | undefined {
  const names = Object.keys(expected);
  if (!record.fits(given)) return `${of} expects an object with ${names.join(', ')}, not ${show(given)}`;
  const options = given as Record<string, unknown>;
  const unknown = Object.keys(options).find(name => !Object.hasOwn(expected, name));
  if (unknown !== undefined)
    return `${of} has no option ${show(unknown)}; there ${names.length === 1 ? 'is' : 'are'} ${names.join(', ')}`;
  const wrong = names.find(name => !expected[name]!.fits(options[name]));
  if (wrong === undefined) return undefined;
  return `${of}: ${wrong} is ${show(options[wrong])}; expected ${expected[wrong]!.what}`;
}

export function show(value: unknown): string {
  return inspect(value, {
    depth: 0,
    breakLength: Number.POSITIVE_INFINITY,
    maxArrayLength: 8,
    maxStringLength: 40,
  });
}
