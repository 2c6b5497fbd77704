// What a step of the set-up was made from, as one hash: the step is skipped while the hash stays the same.
import {createHash} from 'node:crypto';
import {existsSync, readdirSync, readFileSync, statSync, writeFileSync} from 'node:fs';
import {join} from 'node:path';

/**
 * @param {string} root
 * @param {readonly string[]} paths files or folders, relative to root; one that is absent counts as absent
 * @param {readonly string[]} facts what else the result depends on (the node version, say)
 * @returns {string}
 */
export function fingerprint(root, paths, facts) {
  const hash = createHash('sha256');
  hash.update(JSON.stringify(facts));
  for (const path of paths) addPath(root, path, hash);
  return hash.digest('hex');
}

/**
 * @param {string} root
 * @param {string} path
 * @param {import('node:crypto').Hash} hash
 */
function addPath(root, path, hash) {
  const full = join(root, path);
  if (!existsSync(full)) {
    hash.update(`absent ${path}\n`);
  } else if (statSync(full).isDirectory()) {
    for (const name of readdirSync(full).sort()) addPath(root, join(path, name), hash);
  } else {
    const content = readFileSync(full);
    hash.update(`${content.length} ${path}\n`).update(content);
  }
}

/** The stamps of the steps that were done, one file for all. */
export class Stamps {
  #path;
  /** @type {Record<string, string>} */
  #stamps = {};

  constructor(/** @type {string} */ path) {
    this.#path = path;
    if (existsSync(path)) this.#stamps = JSON.parse(readFileSync(path, 'utf8'));
  }

  /**
   * @param {string} step
   * @param {string} stamp
   */
  matches(step, stamp) {
    return this.#stamps[step] === stamp;
  }

  /**
   * @param {string} step
   * @param {string} stamp
   */
  record(step, stamp) {
    this.#stamps[step] = stamp;
    writeFileSync(this.#path, `${JSON.stringify(this.#stamps)}\n`);
  }
}
