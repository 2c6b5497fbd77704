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
import {decode, encode, IN_CHARGE, Kind, WORD_SIZE, type Word} from '../dist/links/word.js';
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

test('the words between supervisor, keepers and generations', async t => {
  const control = fileURLToPath(new URL('../include/zlr/control.h', import.meta.url));
  const body = /enum zlr_kind \{([\s\S]*?)\};/.exec(readFileSync(control, 'utf8'))![1]!;
  const names = [...body.matchAll(/(ZLR_\w+) = /g)].map(([, name]) => name!);
  const fields = ['kind', 'generation', 'sequence', 'value', 'extra', 'pid', 'flags'] as const;
  const set = fields.map((field, index) => `word.${field} = ${index + 1};`).join(' ');
  const output = await compileAndRun(
    t,
    `#include <stdio.h>
#include "${control}"
int main(void) {
  ${names.map(name => `printf("${name} %d\\n", ${name});`).join('\n')}
  printf("in_charge %d\\nsize %zu\\n", ZLR_IN_CHARGE, sizeof(struct zlr_word));
  struct zlr_word word; ${set}
  for (size_t i = 0; i < sizeof word; i++) printf("byte%zu %d\\n", i, ((unsigned char *)&word)[i]);
  return 0;
}`,
  );
  const numbers = new Map(output);
  t.deepEqual<object, object>(
    {...Kind},
    Object.fromEntries(names.map(name => [asInTypeScript(name), numbers.get(name)!])),
  );
  t.is(numbers.get('in_charge'), IN_CHARGE);
  t.is(numbers.get('size'), WORD_SIZE);
  const view = new DataView(new ArrayBuffer(WORD_SIZE));
  const word = Object.fromEntries(fields.map((field, index) => [field, index + 1])) as unknown as Word;
  encode(word, view);
  const bytes = Array.from({length: WORD_SIZE}, (_, at) => numbers.get(`byte${at}`)!);
  t.deepEqual([...new Uint8Array(view.buffer)], bytes);
  t.deepEqual(decode(view), word);
});
