/**
 * Proves that native code and TypeScript mean the same bytes by a channel's record and an extent's entry: the structs as
 * the compiler lays them out (zlr/channel.h), `channelFields` as the state store does, and the words of `Extents`.
 *
 * To see it fail: change a field's type or place on one side only, or add one.
 */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {channelFields, channelStruct} from '@zlr/hread';
import {openStore, t as type} from '@zlr/state-store';
import test from 'ava';
import {CHANNEL_VERSION, Flag, Kind} from '../dist/channels/channel-record.js';
import {ENTRY, Word} from '../dist/channels/extents.js';

const header = fileURLToPath(new URL('../../kernel-shim/include/zlr/channel.h', import.meta.url));

/** What the compiler says of a struct's members, a name and numbers a line; and of numbers by name. */
function compiled(struct: string, fields: string[], numbers: string[] = []): Map<string, number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-layout-'));
  const lines = fields.map(
    field =>
      `printf("${field} %zu %zu\\n", offsetof(struct ${struct}, ${field}), sizeof ((struct ${struct} *)0)->${field});`,
  );
  lines.push(`printf("size %zu\\n", sizeof(struct ${struct}));`);
  lines.push(...numbers.map(number => `printf("${number} %d\\n", (int)${number});`));
  try {
    const program = join(directory, 'layout');
    writeFileSync(
      `${program}.c`,
      `#include <stdio.h>\n#include "${header}"\nint main(void) {\n${lines.join('\n')}\nreturn 0;\n}\n`,
    );
    execFileSync('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', `${program}.c`, '-o', program]);
    const output = execFileSync(program, {encoding: 'utf8'});
    const rows = output
      .trimEnd()
      .split('\n')
      .map(line => line.split(' '));
    return new Map(rows.map(([name, ...numbers]) => [name!, numbers.map(Number)]));
  } finally {
    rmSync(directory, {recursive: true});
  }
}

/** The members of a struct, in their order, so that one which was added to C alone is missed. */
function members(struct: string): string[] {
  const body = new RegExp(`struct ${struct} \\{(.*?)\\n\\};`, 's').exec(readFileSync(header, 'utf8'))![1]!;
  return [...body.matchAll(/^\s*u?int\d+_t (\w+);/gm)].map(match => match[1]!);
}

const inC = (field: string): string => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);

test('every field of a channel has one place and size on both sides', async t => {
  const fields = Object.keys(channelFields);
  t.deepEqual(members('zlr_channel'), fields.map(inC));

  const store = await openStore({
    backend: 'memory',
    name: `layout-${process.pid}`,
    size: 2 ** 20,
    schema: {channels: type.table(channelStruct({own: type.u32}), {capacity: 3})},
  });
  const layout = store.layout('channels');
  const numbers = [
    'ZLR_CHANNEL_VERSION',
    'ZLR_TCP',
    'ZLR_CLOSE_AFTER',
    'ZLR_WORKING',
    'ZLR_ALONE',
    'ZLR_OPENED',
  ];
  const c = compiled('zlr_channel', members('zlr_channel'), numbers);
  for (const field of fields) {
    const {byteOffset, byteLength} = layout.fields[field]!;
    t.deepEqual([byteOffset, byteLength], c.get(inC(field)), field);
  }
  t.true(layout.fields['own']!.byteOffset >= c.get('size')![0]!, "the owner's fields come behind");
  t.is(layout.byteOffset % 8, 0, 'native code stores 64-bit words in one piece');
  t.is(layout.stride % 8, 0);
  t.deepEqual(
    [CHANNEL_VERSION, Kind.Tcp, Flag.CloseAfter, Flag.Working, Flag.Alone, Flag.Opened],
    numbers.map(number => c.get(number)![0]!),
  );
  store.close();
});

test("every word of an extent's entry has one place on both sides", t => {
  const words = Object.keys(Word) as (keyof typeof Word)[];
  t.deepEqual(members('zlr_extent'), words.map(inC));
  const c = compiled('zlr_extent', members('zlr_extent'));
  t.is(c.get('size')![0], ENTRY);
  for (const word of words) t.is(c.get(inC(word))![0], Word[word] * 4, word);
});
