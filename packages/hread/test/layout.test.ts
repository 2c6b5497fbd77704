/**
 * Proves that native code and TypeScript mean the same bytes by a channel's record: struct zlr_channel as the compiler
 * lays it out (zlr/channel.h) and `channelFields` as the state store does.
 *
 * To see it fail: change a field's type or place on one side only, or add one.
 */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {CLOSE_AFTER, channelFields, channelStruct} from '@zlr/hread';
import {openStore, t as type} from '@zlr/state-store';
import test from 'ava';

const header = fileURLToPath(new URL('../../kernel-shim/include/zlr/channel.h', import.meta.url));

/** What the compiler says, a name and numbers a line. */
function compiled(fields: string[]): Map<string, number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-layout-'));
  const lines = fields.map(
    field =>
      `printf("${field} %zu %zu\\n", offsetof(struct zlr_channel, ${field}), sizeof ((struct zlr_channel *)0)->${field});`,
  );
  lines.push('printf("size %zu\\nCLOSE_AFTER %d\\n", sizeof(struct zlr_channel), ZLR_CLOSE_AFTER);');
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

/** The members of struct zlr_channel, in their order, so that one which was added to C alone is missed. */
function members(): string[] {
  const body = /struct zlr_channel \{(.*?)\n\};/s.exec(readFileSync(header, 'utf8'))![1]!;
  return [...body.matchAll(/^\s*u?int\d+_t (\w+);/gm)].map(match => match[1]!);
}

const inC = (field: string): string => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);

test('every field of a channel has one place and size on both sides', async t => {
  const fields = Object.keys(channelFields);
  t.deepEqual(members(), fields.map(inC));

  const store = await openStore({
    backend: 'memory',
    name: `layout-${process.pid}`,
    size: 2 ** 20,
    schema: {channels: type.table(channelStruct({own: type.u32}), {capacity: 3})},
  });
  const layout = store.layout('channels');
  const c = compiled(members());
  for (const field of fields) {
    const {byteOffset, byteLength} = layout.fields[field]!;
    t.deepEqual([byteOffset, byteLength], c.get(inC(field)), field);
  }
  t.true(layout.fields['own']!.byteOffset >= c.get('size')![0]!, "the owner's fields come behind");
  t.is(layout.byteOffset % 8, 0, 'native code stores 64-bit words in one piece');
  t.is(layout.stride % 8, 0);
  t.is(CLOSE_AFTER, c.get('CLOSE_AFTER')![0]!);
  store.close();
});
