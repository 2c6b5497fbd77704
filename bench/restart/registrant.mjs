// A service that does nothing but register, to be killed: what reregist() takes, and when its process began.
import {currentKeeper, endOrderly, generation, reregist} from '@zlr/kernel-shim';
// As much of a process to clone as the real server is.
import '@zlr/http';

const begin = process.hrtime.bigint();
reregist();
const reregistUs = Number(process.hrtime.bigint() - begin) / 1000;
// On the clock that all processes share, in milliseconds. What interrupts a process between its two looks makes it older.
const looks = Array.from({length: 9}, () => Number(process.hrtime.bigint()) / 1e6 - performance.now());
const bornAt = Math.max(...looks);
console.log(
  JSON.stringify({generation: generation(), pid: process.pid, keeper: currentKeeper(), bornAt, reregistUs}),
);
process.on('SIGTERM', () => {
  endOrderly();
  process.exit(0);
});
setInterval(() => {}, 60_000);
