import {mkdirSync, mkdtempSync, rmSync} from 'node:fs';
import {createRequire} from 'node:module';
import {join} from 'node:path';
import {fileURLToPath} from 'node:url';

const require = createRequire(import.meta.url);

/** Within the package, where its compiled dependencies are found; git and npm leave it out. */
const folder = fileURLToPath(new URL('../../build/', import.meta.url));

/** One fixture as one plain file: a child that is started hundreds of times must not compile TypeScript each time. */
export function bundle(fixture: string): string {
  const esbuild = createRequire(require.resolve('tsx'))('esbuild') as {buildSync(options: object): unknown};
  mkdirSync(folder, {recursive: true});
  const own = mkdtempSync(join(folder, 'test-'));
  process.once('exit', () => rmSync(own, {recursive: true, force: true}));
  const outfile = join(own, fixture.replace(/ts$/, 'mjs'));
  esbuild.buildSync({
    entryPoints: [fileURLToPath(new URL(`../fixtures/${fixture}`, import.meta.url))],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    logLevel: 'error',
    external: ['@zlr/*'],
    // The compiled modules are loaded from where they are installed.
    banner: {
      js: `import {createRequire as zlrRequire} from 'node:module'; const require = zlrRequire(${JSON.stringify(import.meta.url)});`,
    },
  });
  return outfile;
}
