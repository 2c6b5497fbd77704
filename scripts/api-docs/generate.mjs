// Writes the reference of @zlr/state-store: npm run docs [-- FOLDER]. It is made from the declarations that are published,
// dist/*.d.ts, so that it says what a user's compiler sees. Refuses what has no comment or no place on a page.
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import {join, relative} from 'node:path';
import {fileURLToPath} from 'node:url';
import {Declarations} from './declarations.mjs';
import {pages} from './pages.mjs';
import {Reference} from './render.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const store = join(root, 'packages/state-store');
const folder = process.argv[2] ?? join(root, 'docs/state-store/api');

const declarations = new Declarations(join(store, 'dist/index.d.ts'), join(root, 'node_modules/@types'));
// The compiler drops these comments from the declarations; the README has the same, and a test that says so.
const errors = [
  ...readFileSync(join(store, 'src/errors.ts'), 'utf8').matchAll(/^ {2}\| '(ERR_\w+)';? \/\/ (.*)$/gm),
].map(([, code = '', when = '']) => ({code, when}));

const reference = new Reference(declarations, pages, errors);
const made = new Map(pages.map(page => [page.file, reference.page(page)]));
made.set('README.md', index(reference, pages));
const problems = [...declarations.problems, ...reference.problems];
if (problems.length > 0) {
  console.error(`The reference has holes:\n  ${problems.join('\n  ')}`);
  process.exitCode = 1;
} else {
  mkdirSync(folder, {recursive: true});
  for (const [file, text] of made) writeFileSync(join(folder, file), text);
  console.log(`${made.size} pages in ${relative(process.cwd(), folder)}`);
}

/** The page that lists all others. @param {Reference} reference @param {import('./pages.mjs').Page[]} pages */
function index(reference, pages) {
  const parts = [
    '<!-- made by npm run docs; edit the comments in packages/state-store/src -->\n# Reference of @zlr/state-store',
    'Every export, with its signature, what it takes and gives, and the errors it throws. New here? Begin with ' +
      '[the README](../../../packages/state-store/README.md) and [the tour](../guide.md).',
  ];
  for (const {file, title, sections} of pages) {
    parts.push(`## [${title}](${file})`);
    const rows = sections.flatMap(({names}) =>
      names
        .filter(name => name !== '*')
        .map(name => {
          const methods = reference.methods(name);
          const more = methods.length > 0 ? `<br>${methods.join(' ')}` : '';
          return `| ${reference.link(name, '')} | ${reference.summary(name)}${more} |`;
        }),
    );
    parts.push(['| | |', '|---|---|', ...rows].join('\n'));
    const classes = sections.flatMap(({names}) =>
      names.filter(name => name === '*').flatMap(name => reference.expand(name)),
    );
    if (classes.length > 0)
      parts.push(`Classes of types: ${classes.map(name => reference.link(name, '')).join(' ')}`);
  }
  return `${parts.join('\n\n')}\n`;
}
