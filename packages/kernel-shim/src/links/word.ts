/** What supervisor, keepers and generations say to each other; the same numbers as in include/zlr/control.h. */
export const Kind = {
  Plan: 1,
  Twin: 2,
  Freeze: 3,
  Serve: 4,
  Count: 5,
  Leave: 6,
  Keeping: 16,
  Twinned: 17,
  Frozen: 18,
  Counted: 19,
  Released: 20,
  Member: 32,
  Registered: 33,
  Claim: 34,
  Claimed: 35,
  Served: 36,
  Replan: 37,
  Cloned: 38,
  Beat: 39,
  Stack: 40,
  Blamed: 41,
  Standing: 42,
  Hand: 48,
  Nothing: 49,
  Keep: 50,
  Keeper: 51,
  Watch: 52,
  Renew: 53,
  Turn: 54,
  Next: 64,
  Batch: 65,
  Taken: 66,
  Adopt: 80,
  Stop: 81,
} as const;

/** Of `flags`: the keepers of that generation, and of no other, hold the channels for good. */
export const IN_CHARGE = 1;
/** Of `flags`: the generation has said that its end is no fault. */
export const ORDERLY = 2;

/** One message; the drawing is in include/zlr/control.h. */
export interface Word {
  kind: number;
  generation: number;
  sequence: number;
  value: number;
  extra: number;
  pid: number;
  flags: number;
}

export const WORD_SIZE = 40;

export function encode(word: Partial<Word> & {kind: number}, into: DataView): void {
  into.setUint32(0, word.kind, true);
  into.setUint32(4, word.generation ?? 0, true);
  into.setBigUint64(8, BigInt(word.sequence ?? 0), true);
  into.setBigUint64(16, BigInt(word.value ?? 0), true);
  into.setBigUint64(24, BigInt(word.extra ?? 0), true);
  into.setInt32(32, word.pid ?? 0, true);
  into.setUint32(36, word.flags ?? 0, true);
}

export function decode(from: DataView): Word {
  return {
    kind: from.getUint32(0, true),
    generation: from.getUint32(4, true),
    sequence: Number(from.getBigUint64(8, true)),
    value: Number(from.getBigUint64(16, true)),
    extra: Number(from.getBigUint64(24, true)),
    pid: from.getInt32(32, true),
    flags: from.getUint32(36, true),
  };
}
