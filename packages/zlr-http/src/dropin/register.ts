import {isMainThread} from 'node:worker_threads';
import {Keep} from './keep.js';

const {env} = process;
if (isMainThread) {
  await Keep.start(env['ZLR_HTTP_NAME'] ?? 'zlr', {
    rerun: env['ZLR_HTTP_RERUN'] === 'all' ? 'all' : 'idempotent',
    attempts: Number(env['ZLR_HTTP_ATTEMPTS'] ?? 3),
  });
}
