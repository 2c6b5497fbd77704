// npm run bench -- NAME [--json] [--rounds N] [--seed N] [--small]
import {spawn} from 'node:child_process';
import {existsSync, readdirSync} from 'node:fs';
import {fileURLToPath} from 'node:url';

const here = new URL('.', import.meta.url);
/** A bench is a file of its name, or a folder of its name with a run.mjs. */
const places = (/** @type {string} */ name) => [
  new URL(`${name}.mjs`, here),
  new URL(`${name}/run.mjs`, here),
];

const shared = new Set(['harness', 'run', 'servers']);
const names = [...new Set(readdirSync(here).map(file => file.replace(/\.mjs$/, '')))].filter(
  name => !shared.has(name) && places(name).some(place => existsSync(place)),
);

const [given = '', ...rest] = process.argv.slice(2);
// store-map is the case 'map' of the bench 'store'.
const [, name = given, only] = /^(store)-(.+)$/.exec(given) ?? [];
const args = only === undefined ? rest : ['--only', only, ...rest];
const bench = names.includes(name) ? places(name).find(place => existsSync(place)) : undefined;
if (bench === undefined) {
  const problem = name === '' ? 'no bench was named' : `'${name}' is not a bench`;
  console.error(
    `${problem}; usage: npm run bench -- ${names.join('|')} [--json] [--rounds N] [--seed N] [--small]`,
  );
  process.exitCode = 2;
} else {
  // A process of its own: what this one has loaded and compiled must not be measured with it.
  const child = spawn(process.execPath, [fileURLToPath(bench), ...args], {stdio: 'inherit'});
  // A terminal sends Ctrl-C to the child as well; it undoes what it did, and this one waits for that.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === null ? 0 : 1);
  });
}
