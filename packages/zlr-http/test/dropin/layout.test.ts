/**
 * Proves that native code and TypeScript mean the same bytes by an exchange's record: the structs of zlr/exchange.h as the
 * compiler lays them out, and the fields in exchange-record.ts as the state store does.
 *
 * To see it fail: change a field's type or place on one side only, or add one.
 */
import {execFileSync} from 'node:child_process';
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {type Struct, struct} from '@zlr/state-store';
import test from 'ava';
import * as record from '../../src/dropin/exchange-record.js';

const native = fileURLToPath(new URL('../../../kernel-shim', import.meta.url));
const headers = ['include/zlr/exchange.h', 'native/exchange/chunks.h', 'native/exchange/talk.h'].map(
  name => `${native}/${name}`,
);

const constants: Record<string, number> = {
  ZLR_OPAQUE: record.OPAQUE,
  ZLR_UNHELD: record.UNHELD,
  ZLR_ANSWER_CLOSES: record.ANSWER_CLOSES,
  ZLR_ANSWERED_EARLY: record.ANSWERED_EARLY,
  ZLR_SPAN_WHOLE: record.SPAN_WHOLE,
  ZLR_ANSWER_STANDS: record.Answered.Stands,
  ZLR_ANSWER_ANEW: record.Answered.Anew,
  ZLR_ANSWERED_WHOLE: record.Answered.Whole,
  ZLR_NO_ANSWER: record.Framing.None,
  ZLR_LENGTH: record.Framing.Length,
  ZLR_CHUNKED: record.Framing.Chunked,
  ZLR_UNTIL_END: record.Framing.UntilEnd,
  ZLR_CHUNK_SIZE: record.ChunkState.Size,
  ZLR_CHUNK_DATA: record.ChunkState.Data,
  ZLR_CHUNK_CR: record.ChunkState.Cr,
  ZLR_CHUNK_LF: record.ChunkState.Lf,
  ZLR_REQUEST_IDEMPOTENT: record.REQUEST_IDEMPOTENT,
};

/** The members of a struct, in their order, so that one which was added to C alone is missed. */
function members(name: string): string[] {
  const body = new RegExp(`struct ${name} \\{(.*?)\\n\\};`, 's').exec(readFileSync(headers[0]!, 'utf8'))![1]!;
  return [...body.matchAll(/^\s*(?:u?int\d+_t|struct \w+) (\w+)(?:\[\d+\])?;/gm)].map(match => match[1]!);
}

/** What the compiler says: "NAME NUMBER..." a line. */
function compiled(lines: string[]): Map<string, number[]> {
  const directory = mkdtempSync(join(tmpdir(), 'zlr-layout-'));
  try {
    const program = join(directory, 'layout');
    const includes = headers.map(header => `#include "${header}"\n`).join('');
    writeFileSync(
      `${program}.c`,
      `#include <stdio.h>\n${includes}int main(void) {\n${lines.join('\n')}\nreturn 0;\n}\n`,
    );
    execFileSync('cc', ['-std=c17', '-Wall', '-Wextra', '-Werror', `${program}.c`, '-o', program]);
    const rows = execFileSync(program, {encoding: 'utf8'}).trimEnd().split('\n');
    return new Map(rows.map(row => row.split(' ')).map(([name, ...numbers]) => [name!, numbers.map(Number)]));
  } finally {
    rmSync(directory, {recursive: true});
  }
}

const inC = (field: string): string => field.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`);

// biome-ignore lint/complexity/noBannedTypes: any struct
function placesOf(of: Struct<{}>): [string, number[]][] {
  const {fields, size} = of.describe();
  return [...fields!.map(({name, offset}): [string, number[]] => [inC(name), [offset]]), ['', [size!]]];
}

for (const [name, of] of [
  ['zlr_exchange', record.Exchange],
  ['zlr_progress', struct('Progress', record.progressFields)],
] as const) {
  test(`every field of struct ${name} has one place on both sides`, t => {
    const c = compiled([
      ...members(name).map(field => `printf("${field} %zu\\n", offsetof(struct ${name}, ${field}));`),
      `printf(" %zu\\n", sizeof(struct ${name}));`,
    ]);
    t.deepEqual([...c], placesOf(of as never));
  });
}

test('constants that cross the boundary have one value on both sides', t => {
  const names = Object.keys(constants);
  const c = compiled(names.map(name => `printf("${name} %d\\n", (int)${name});`));
  t.deepEqual(Object.fromEntries([...c].map(([name, [value]]) => [name, value])), constants);
});
