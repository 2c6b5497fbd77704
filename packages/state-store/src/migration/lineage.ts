import {type Ancestor, MOST_ANCESTORS} from '../declaration/schema-blob.js';
import type {TypeDescription} from '../schema/type.js';

/** What the names of one schema became in the next: several where a struct stood at several places, none when it went. */
export type Step = ReadonlyMap<string, ReadonlySet<string>>;

/** All names of a schema, as `drop` and `renames` spell them: what stands at the root, and 'Struct.field'. */
export function namesOf(root: TypeDescription): Set<string> {
  const names = new Set<string>();
  const look = ({name, of, fields}: TypeDescription, atRoot: boolean): void => {
    for (const each of of ?? []) look(each, false);
    for (const field of fields ?? []) {
      names.add(atRoot ? field.name : `${name}.${field.name}`);
      look(field.type, false);
    }
  };
  look(root, true);
  return names;
}

/**
 * The ancestors of the schema that comes after `left`. Each tells by itself what its names are called now, so that one can
 * be forgotten without the others; one that is gone back to is no ancestor any more.
 *
 * @param most - bytes they may take in the segment; the oldest are forgotten
 */
export function descend(
  lineage: readonly Ancestor[],
  left: {fingerprint: string; names: ReadonlySet<string>},
  step: Step,
  next: string,
  most: number,
): Ancestor[] {
  const moved = new Map<string, readonly string[]>();
  for (const name of left.names) {
    const now = [...(step.get(name) ?? [])];
    if (now.length !== 1 || now[0] !== name) moved.set(name, now);
  }
  const onward = ({fingerprint, names}: Ancestor): Ancestor => {
    const further = new Map<string, readonly string[]>(
      [...names].map(([then, now]) => [then, [...new Set(now.flatMap(name => moved.get(name) ?? [name]))]]),
    );
    // What is in no pair was called then as it was until now, unless that is what another one was called since.
    const since = new Set([...names.values()].flat());
    for (const [name, now] of moved) if (!names.has(name) && !since.has(name)) further.set(name, now);
    return {fingerprint, names: further};
  };
  const all = [{fingerprint: left.fingerprint, names: moved}, ...lineage.map(onward)].filter(
    ({fingerprint}, i, every) =>
      fingerprint !== next && every.findIndex(each => each.fingerprint === fingerprint) === i,
  );
  let room = most;
  const kept: Ancestor[] = [];
  for (const each of all.slice(0, MOST_ANCESTORS)) {
    room -= bytesOf(each);
    if (room < 0) break;
    kept.push(each);
  }
  return kept;
}

/** No less than a FlatBuffer takes for it: each text with its offset, its length, a zero and padding. */
function bytesOf({fingerprint, names}: Ancestor): number {
  const text = (s: string) => Buffer.byteLength(s) + 16;
  let bytes = text(fingerprint) + 32;
  for (const [then, now] of names)
    for (const name of now.length === 0 ? [''] : now) bytes += text(then) + text(name);
  return bytes;
}
