/* docs/contract.md names a test for each promise: each must stand where it says, and each letter must be explained. */
import {readFileSync} from 'node:fs';
import {fileURLToPath} from 'node:url';
import test from 'ava';

const root = new URL('..', import.meta.url);
const contract = readFileSync(new URL('docs/contract.md', root), 'utf8');
const [table, proofs] = contract.split('## Proofs') as [string, string];
const proved = [...proofs.matchAll(/^- ([a-z]{1,2}): (\S+) "(.+)"$/gm)].map(([, letter, file, title]) => ({
  letter: letter!,
  file: file!,
  title: title!,
}));

for (const {letter, file, title} of proved) {
  test(`promise ${letter} is proved by a test that exists: ${title}`, t => {
    const source = readFileSync(fileURLToPath(new URL(file, root)), 'utf8');
    const titles = [...source.matchAll(/^\s*(?:test(?:\.serial)?|serial)\(\s*(['"`])(.*?)\1/gm)].map(
      match => match[2]!,
    );
    t.true(
      titles.some(each => each.includes(title)),
      `${file} has no test "${title}"`,
    );
  });
}

test('the table and the list of proofs name the same letters', t => {
  const named = new Set([...table.matchAll(/\[([a-z]{1,2})\]/g)].map(match => match[1]!));
  t.deepEqual([...named].sort(), proved.map(({letter}) => letter).sort());
});
