// A service that is as heavy as it is told, in MiB, to be killed. It says what reregist() took and when its process began;
// on SIGUSR2 the longest time, since it was last asked, in which its event loop did nothing.
import {endOrderly, generation, isSupervised, reregist} from '@zlr/kernel-shim';

const CHUNK = 64 * 1024 * 1024;
const nowMs = () => Number(process.hrtime.bigint()) / 1e6;
// On the clock that all processes share. What interrupts a process between its two looks makes it older.
const bornAt = Math.max(...Array.from({length: 9}, () => nowMs() - performance.now()));

/** Every page is its own, so that it would have to be copied, or at least counted, by whoever clones this process. */
const ballast = [];
for (let left = Number(process.argv[2]) * 1024 * 1024; left > 0; left -= CHUNK)
  ballast.push(Buffer.alloc(Math.min(left, CHUNK), 1));

const begin = process.hrtime.bigint();
if (isSupervised()) reregist();
const reregistUs = Number(process.hrtime.bigint() - begin) / 1000;

let last = performance.now();
let longestMs = 0;
const look = () => {
  const now = performance.now();
  longestMs = Math.max(longestMs, now - last);
  last = now;
};
setInterval(look, 1);
process.on('SIGUSR2', () => {
  look();
  console.log(JSON.stringify({longestMs}));
  longestMs = 0;
});
process.on('SIGTERM', () => {
  if (isSupervised()) endOrderly();
  process.exit(0);
});
console.log(
  JSON.stringify({
    generation: isSupervised() ? generation() : 0,
    pid: process.pid,
    bornAt,
    reregistUs,
    pieces: ballast.length,
  }),
);
