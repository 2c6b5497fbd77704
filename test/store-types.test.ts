/* What a user's compiler says of the store, installed as a package of which only `exports` can be reached. */
import {execFile} from 'node:child_process';
import {
  copyFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import type {ExecutionContext} from 'ava';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const store = join(root, 'packages/state-store');
const run = promisify(execFile);

const compilers = {
  'TypeScript 7': join(root, 'node_modules/typescript/bin/tsc'),
  'TypeScript 5': join(root, 'scripts/api-docs/node_modules/typescript/bin/tsc'),
};

/** Compiles a user's program; gives the folder with what came of it, gone after the test, and what was complained of. */
async function compile(t: ExecutionContext, compiler: string, program: string) {
  mkdirSync(join(root, 'out'), {recursive: true});
  const made = mkdtempSync(join(root, 'out', 'store-types-'));
  t.teardown(() => rmSync(made, {recursive: true}));
  const installed = join(made, 'node_modules/@zlr/state-store');
  cpSync(join(store, 'dist'), join(installed, 'dist'), {recursive: true});
  copyFileSync(join(store, 'package.json'), join(installed, 'package.json'));
  symlinkSync(join(store, 'node_modules/flatbuffers'), join(made, 'node_modules/flatbuffers'));
  writeFileSync(join(made, 'user.ts'), program);
  writeFileSync(join(made, 'package.json'), '{"type": "module"}');
  const compilerOptions = {
    target: 'ES2022',
    module: 'NodeNext',
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    skipLibCheck: true,
    declaration: true,
    outDir: 'made',
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  };
  writeFileSync(join(made, 'tsconfig.json'), JSON.stringify({compilerOptions, files: ['user.ts']}));
  const {stdout} = await run(process.execPath, [compiler, '-p', made]).catch(
    (error: {stdout: string}) => error,
  );
  return {made, complaints: stdout};
}

for (const [name, compiler] of Object.entries(compilers)) {
  test(`${name}: types are inferred, mistakes do not compile, and a declaration file can spell a schema`, async t => {
    const program = readFileSync(join(root, 'test/fixtures/store-user.ts'), 'utf8');
    const {made, complaints} = await compile(t, compiler, program);
    t.is(complaints, '');
    t.regex(readFileSync(join(made, 'made/user.d.ts'), 'utf8'), /VectorType<number, number, number>/);
  });

  test(`${name}: the recipes compile, and print what their comments say`, async t => {
    const page = readFileSync(join(root, 'docs/state-store/typescript.md'), 'utf8');
    const program = [...page.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, piece]) => piece).join('');
    const {made, complaints} = await compile(t, compiler, program);
    t.is(complaints, '');
    const expected = [...program.matchAll(/\/\/> (.*)$/gm)].map(([, line]) => `${line}\n`).join('');
    t.true(expected.length > 0);
    t.is((await run(process.execPath, [join(made, 'made/user.js')])).stdout, expected);
  });
}
