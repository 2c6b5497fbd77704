/* docs/state-store/api is what `npm run docs` makes of the declarations, and its links lead somewhere. */
import {execFile} from 'node:child_process';
import {mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync} from 'node:fs';
import {dirname, join} from 'node:path';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';
import test from 'ava';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = join(root, 'docs/state-store/api');
const run = promisify(execFile);

test('the reference of the store is that of its declarations; npm run docs makes it', async t => {
  mkdirSync(join(root, 'out'), {recursive: true});
  const made = mkdtempSync(join(root, 'out', 'store-api-'));
  t.teardown(() => rmSync(made, {recursive: true}));
  await run(process.execPath, [join(root, 'scripts/api-docs/generate.mjs'), made]);
  t.deepEqual(readdirSync(pages), readdirSync(made));
  for (const page of readdirSync(made))
    t.is(readFileSync(join(pages, page), 'utf8'), readFileSync(join(made, page), 'utf8'), page);
});

/** The anchors that GitHub gives the headings of a page. */
function anchors(page: string): Set<string> {
  const seen = new Map<string, number>();
  const found = new Set<string>();
  for (const [, title] of readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)) {
    const anchor = title!
      .replace(/\[(.*?)\]\(.*?\.md\)/, '$1')
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-');
    const before = seen.get(anchor) ?? 0;
    seen.set(anchor, before + 1);
    found.add(before === 0 ? anchor : `${anchor}-${before}`);
  }
  return found;
}

test('each link of the reference leads to a heading that is there', t => {
  let checked = 0;
  for (const page of readdirSync(pages))
    for (const [link, file, anchor] of readFileSync(join(pages, page), 'utf8').matchAll(
      /\]\(([^)#]*)#?([^)]*)\)/g,
    )) {
      if (link === ']()') continue;
      const target = file === '' ? join(pages, page) : join(dirname(join(pages, page)), file!);
      if (anchor === '') t.notThrows(() => readFileSync(target), `${page}: ${link}`);
      else t.true(anchors(target).has(anchor!), `${page}: ${link}`);
      checked++;
    }
  t.true(checked > 200);
});

test('each export of the store stands in the reference', t => {
  const index = readFileSync(join(pages, 'README.md'), 'utf8');
  const source = readFileSync(join(root, 'packages/state-store/src/index.ts'), 'utf8');
  const names = [...source.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(match =>
    match[1]!
      .split(',')
      .map(name => name.replace('type ', '').trim())
      .filter(name => name !== ''),
  );
  t.true(names.length > 50);
  for (const name of names) t.true(index.includes(`[\`${name}\`](`), name);
});
