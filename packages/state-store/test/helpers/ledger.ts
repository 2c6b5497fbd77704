import {type Store, struct, t} from '../../src/index.js';
import type {Random} from './program.js';

/*
 * A program for several writers, and what must hold between any two of its transactions whoever was killed: nobody knows
 * how far another came, but each transaction keeps all of this true.
 */
const Writer = struct('Writer', {done: t.uint, entries: t.u32});
const Entry = struct('Entry', {by: t.string(), n: t.uint, text: t.string()});
export const ledger = {
  done: t.uint,
  writers: t.map(t.string(), Writer),
  accounts: t.map(t.u32, t.i32),
  entries: t.table(Entry),
};
export type Ledger = Store<typeof ledger>;

const ACCOUNTS = 10;
const SUM = ACCOUNTS * 100;
const MOST_ENTRIES = 15;

export function begin({root}: Ledger): void {
  for (let i = 0; i < ACCOUNTS; i++) root.accounts.set(i, SUM / ACCOUNTS);
}

/** Moves an amount, counts itself, and writes an entry or takes one of its own away. */
export function work(store: Ledger, me: string, random: Random): void {
  const {root} = store;
  store.transaction(() => {
    const [from, to, amount] = [random.below(ACCOUNTS), random.below(ACCOUNTS), random.below(50)];
    root.accounts.set(from, root.accounts.get(from)! - amount);
    root.accounts.set(to, root.accounts.get(to)! + amount);
    root.done++;
    if (!root.writers.has(me)) root.writers.set(me, {});
    const mine = root.writers.get(me)!;
    mine.done++;
    if (mine.entries < MOST_ENTRIES && random.next() < 0.6) {
      root.entries.insert({by: me, n: mine.done, text: textOf(me, mine.done)});
      mine.entries++;
    } else
      for (const entry of root.entries)
        if (entry.by === me) {
          root.entries.remove(entry);
          mine.entries--;
          break;
        }
  });
}

function textOf(by: string, n: number): string {
  return `${by}, ${n}`.repeat(1 + (n % 30));
}

/** What is wrong with a store at rest, or a snapshot. */
export function faults(store: Ledger): string[] {
  const {problems} = store.check();
  const {root} = store;
  const expect = (what: string, found: number, expected: number) => {
    if (found !== expected) problems.push(`${what}: ${found}, not ${expected}`);
  };
  const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
  expect('the sum of all accounts', sum(root.accounts.values()), SUM);
  expect('all transactions', root.done, sum([...root.writers.values()].map(({done}) => done)));
  const counted = new Map<string, number>();
  for (const {by, n, text} of root.entries) {
    counted.set(by, (counted.get(by) ?? 0) + 1);
    if (text !== textOf(by, n)) problems.push(`entry ${n} of ${by} reads ${text}`);
  }
  for (const [name, {entries}] of root.writers) expect(`entries of ${name}`, counted.get(name) ?? 0, entries);
  return problems;
}
