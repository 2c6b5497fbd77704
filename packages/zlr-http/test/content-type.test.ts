import test from 'ava';
import {contentTypeOf} from '../src/files/content-type.js';

const table: ReadonlyArray<readonly [path: string, type: string]> = [
  ['index.html', 'text/html; charset=utf-8'],
  ['a/b/style.css', 'text/css; charset=utf-8'],
  ['app.js', 'text/javascript; charset=utf-8'],
  ['app.mjs', 'text/javascript; charset=utf-8'],
  ['README.md', 'text/markdown; charset=utf-8'],
  ['notes.txt', 'text/plain; charset=utf-8'],
  ['data.json', 'application/json'],
  ['logo.svg', 'image/svg+xml'],
  ['favicon.ico', 'image/x-icon'],
  ['font.woff2', 'font/woff2'],
  ['module.wasm', 'application/wasm'],
  ['PHOTO.JPG', 'image/jpeg'],
  ['archive.tar.gz', 'application/gzip'],
  ['archive.tar', 'application/x-tar'],
  ['live.m3u8', 'application/vnd.apple.mpegurl'],
  ['song.flac', 'audio/flac'],
  ['LICENSE', 'application/octet-stream'],
  // A file that is merely called like a type, or lies in a folder with a dot, has no extension.
  ['html', 'application/octet-stream'],
  ['v1.html/LICENSE', 'application/octet-stream'],
  ['ends.', 'application/octet-stream'],
  // Names every object inherits are no types.
  ['file.constructor', 'application/octet-stream'],
  ['file.__proto__', 'application/octet-stream'],
];

for (const [path, type] of table) {
  test(`${path} is ${type}`, t => {
    t.is(contentTypeOf(path), type);
  });
}
