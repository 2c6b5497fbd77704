// The process of one churn: replaces records and notes what its store has touched after each twentieth of them.
import {random} from '../harness.mjs';
import {segmentBytes} from './segment.mjs';
import {text} from './texts.mjs';

const STEPS = 20;
const TEXTS = 4096;

/** @type {{kind: 'store' | 'objects', pairs: number, live: number, seed: number}} */
const {kind, pairs, live, seed} = JSON.parse(process.argv[2] ?? '{}');
const draw = random(seed);
const texts = Array.from({length: TEXTS}, () => text(draw, Math.floor(draw() * 201), draw() < 0.1));

/** @param {number} i */
function item(i) {
  return {id: i, name: texts[i % TEXTS], note: texts[(i * 7 + (i >>> 12)) % TEXTS]};
}

/** @returns {Promise<{exchange: (i: number, next: number) => number, used: () => number, end: () => void}>} */
async function contender() {
  if (kind === 'objects') {
    const all = Array.from({length: live}, (_, i) => item(i));
    return {
      exchange(i, next) {
        const {id} = all[i];
        all[i] = item(next);
        return id;
      },
      used: () => 0,
      end() {},
    };
  }
  const {openStore, struct, t} = await import('@zlr/state-store');
  const Item = struct('Item', {id: t.u32, name: t.string(), note: t.string()});
  const store = await openStore({
    name: `bench-${process.pid}`,
    size: live * 2000 + 2 ** 20,
    logSize: '64KB', // it is gone round at once, so that it does not look like growth
    schema: {items: t.table(Item)},
  });
  const {items} = store.root;
  const all = Array.from({length: live}, (_, i) => items.insert(item(i)));
  return {
    exchange(i, next) {
      const {id} = all[i];
      items.remove(all[i]);
      all[i] = items.insert(item(next));
      return id;
    },
    used: () => segmentBytes(process.pid),
    end() {
      const {ok, problems} = store.check();
      if (!ok) throw new Error(problems.join('\n'));
      store.destroy();
    },
  };
}

const {exchange, used: touched, end} = await contender();
let checksum = 0;
let next = live;
let spent = 0;
const used = [];
for (let step = 0; step < STEPS; step++) {
  const start = process.cpuUsage();
  for (let left = pairs / STEPS; left > 0; left--)
    checksum = (checksum + exchange(Math.floor(draw() * live), next++ >>> 0)) % 0x1_0000_0000;
  const {user, system} = process.cpuUsage(start);
  spent += (user + system) * 1000;
  used.push(touched());
}
const content = live * 2 * (texts.reduce((sum, each) => sum + each.length, 0) / TEXTS + 4) + live * 4;
end();
console.log(JSON.stringify({nanoseconds: Math.max(spent, 1) / pairs, checksum, used, content}));
