/**
 * Proves that the numbers which cross the language boundary are the same on both sides: the reactor's events and
 * commands, and its capacities, as the compiler sees native/reactor/reactor.h and as src/native.ts writes them down. (The layout
 * of a channel's record is compared in @zlr/hread, which declares its TypeScript side.)
 *
 * To see it fail: change a number, or add a kind on one side only.
 */
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';
import {Command, Event, native} from '../dist/native.js';
import {compileAndRun} from './native-program.js';

const header = fileURLToPath(new URL('../native/reactor/reactor.h', import.meta.url));

/** The names of an enum, so that one which was added to C alone is missed. */
function namesOf(enumName: string): string[] {
  const body = new RegExp(`enum ${enumName} \\{([^}]*)\\}`).exec(readFileSync(header, 'utf8'))![1]!;
  return body.split(',').map(each => each.split('=')[0]!.trim());
}

/** ZLR_ACCEPTED is Accepted. */
const asInTypeScript = (name: string): string => name[4]! + name.slice(5).toLowerCase();

test("the kinds of events and commands, and the batch's size", async t => {
  const [events, commands] = [namesOf('zlr_event'), namesOf('zlr_command')];
  const print = [...events, ...commands, 'ZLR_EVENTS', 'ZLR_COMMANDS'].map(
    name => `printf("${name} %d\\n", ${name});`,
  );
  const output = await compileAndRun(
    t,
    `#include <stdio.h>\n#include "${header}"\nint main(void) { ${print.join('\n')} return 0; }`,
  );
  const numbers = new Map(output);
  const kinds = (names: string[]): object =>
    Object.fromEntries(names.map(name => [asInTypeScript(name), numbers.get(name)!]));
  t.deepEqual<object, object>({...Event}, kinds(events));
  t.deepEqual<object, object>({...Command}, kinds(commands));
  t.is(native().REACTOR_EVENTS, numbers.get('ZLR_EVENTS')!);
  t.is(native().REACTOR_COMMANDS, numbers.get('ZLR_COMMANDS')!);
});
