/* The pages of the state store are true: their programs are run as they stand, their tables are compared with the source. */
import {execFile} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import {openStore} from '@zlr/state-store';
import type {ExecutionContext} from 'ava';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const source = join(root, 'packages/state-store/src');
const readme = readFileSync(join(root, 'packages/state-store/README.md'), 'utf8');
const run = promisify(execFile);

/** A folder from which '@zlr/state-store' is found, gone after the test. */
function folder(t: ExecutionContext): string {
  mkdirSync(join(root, 'out'), {recursive: true});
  const made = mkdtempSync(join(root, 'out', 'store-docs-'));
  t.teardown(() => rmSync(made, {recursive: true}));
  return made;
}

async function output(script: string, ...args: string[]): Promise<string> {
  return (await run(process.execPath, [script, ...args])).stdout;
}

for (const backend of ['memory', 'sysv', 'file']) {
  test(`the README's example runs on '${backend}', and counts on where the store outlives its process`, async t => {
    const code = /```js\n(\/\/ shop\.mjs[\s\S]*?)```/.exec(readme)?.[1];
    t.truthy(code, 'the README has the example');
    const made = folder(t);
    // Only its name is changed: the tests of another checkout may run at the same time.
    const name = `readme-${process.pid}`;
    const [script, path] = [join(made, 'shop.mjs'), join(made, 'shop.store')];
    writeFileSync(script, code!.replace("name: 'shop'", `name: '${name}'`));
    t.teardown(async () => {
      if (backend === 'sysv')
        (await openStore({name, schema: shopSchema(await import('@zlr/state-store'))})).destroy();
    });
    const record = '{"page":"/cart","bytes":5120,"stage":"done"}';
    t.is(await output(script, backend, path), `start 1, 1 hits, ${record}\n`);
    const again = backend === 'memory' ? 'start 1, 1 hits' : 'start 2, 2 hits';
    t.is(await output(script, backend, path), `${again}, ${record}\n`);
  });
}

function shopSchema({struct, t: ty}: typeof import('@zlr/state-store')) {
  const Visit = struct('Visit', {
    page: ty.string(),
    bytes: ty.uint,
    stage: ty.enum('reading', 'sending', 'done'),
  });
  return {starts: ty.uint, visits: ty.table(Visit), hits: ty.map(ty.string(), ty.u32)};
}

test("the README's table of errors is that of the source, and each code is thrown somewhere", t => {
  const declared = [
    ...readFileSync(join(source, 'errors.ts'), 'utf8').matchAll(/^ {2}\| '(ERR_\w+)';? \/\/ (.*)$/gm),
  ].map(match => [match[1]!, match[2]!]);
  const shown = [...readme.matchAll(/^\| `(ERR_\w+)` \| (.*) \|$/gm)].map(match => [match[1]!, match[2]!]);
  t.true(declared.length > 10);
  t.deepEqual(shown, declared);
  const code = readdirSync(source)
    .filter(file => file !== 'errors.ts')
    .map(file => readFileSync(join(source, file), 'utf8'))
    .join('');
  for (const [name] of declared) t.true(code.includes(`'${name}'`), `nothing throws ${name}`);
});

test("the README's table of types and collections names everything that t has", async t => {
  const {t: types} = await import('@zlr/state-store');
  for (const name of Object.keys(types)) t.regex(readme, new RegExp(`\`t\\.${name}\\b`), `t.${name}`);
});
