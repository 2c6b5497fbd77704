// One contender in a process of its own: told a name and a number of records, it prepares, then measures a slice of
// about `ms` milliseconds whenever it is asked and answers with nanoseconds an operation: of processor time, so that waiting
// for a processor does not count.
import {contenders} from './contenders.mjs';

const [name = '', records = '1000'] = process.argv.slice(2);
const make = contenders[name];
if (make === undefined) throw new Error(`there is no contender '${name}'`);
const {run, result, close} = await make(Number(records));

/** Operations that take about this long, found by doubling. @param {number} ms */
function slice(ms) {
  let operations = 1000;
  for (;;) {
    const start = performance.now();
    run(operations);
    const took = performance.now() - start;
    if (took > ms / 2) return Math.ceil((operations * ms) / took);
    operations *= 2;
  }
}

let operations = 0;
process.on('message', (/** @type {{ms: number} | 'end'} */ order) => {
  if (order === 'end') {
    process.send?.({result: result?.()});
    close?.();
    process.disconnect();
    return;
  }
  // The first slices are the warm-up: the doubling alone runs long enough for the optimizing compiler.
  operations ||= (slice(order.ms * 2), slice(order.ms));
  const before = process.cpuUsage();
  run(operations);
  const {user, system} = process.cpuUsage(before);
  process.send?.({ns: ((user + system) * 1000) / operations});
});
process.send?.('ready');
