/*
 * Loaded before a program (`zlr run --http`, or node --import @zlr/http/register under a supervisor): the connections of its HTTP
 * servers outlive it. What cannot be done is said in a line, and the program runs as it would without.
 */
import cluster from 'node:cluster';
import {isMainThread} from 'node:worker_threads';
import {isSupervised, ownName} from '@zlr/kernel-shim';
import {startKeeping} from './keep.js';
import {sayWhatIsNotKept} from './node-server.js';
import {policyFrom} from './policy.js';

const {env} = process;
if (!isMainThread || cluster.isWorker) {
  sayWhatIsNotKept(`of a ${isMainThread ? 'cluster worker' : 'worker thread'}`);
} else if (isSupervised()) {
  await startKeeping(
    ownName(env['ZLR_HTTP_STORE'] ?? 'exchanges'),
    policyFrom(env['ZLR_HTTP_RERUN'], env['ZLR_HTTP_ATTEMPTS']),
  );
}
