/** Opens a store, or listens, and prints what went wrong with all that caused it. */
export const attempt = (backend: string): string => `
import {openStore, t} from '@zlr/state-store';
import {listen} from '@zlr/kernel-shim';
const say = error => ({code: error.code, name: error.name, message: error.message,
  causes: [error.cause, ...(error.cause?.errors ?? [])].filter(each => each).map(each => each.code)});
export async function attempt() {
  try {
    if ('${backend}' === 'shim') return {fine: listen('127.0.0.1', 0) > 0};
    const options = {name: 'attempt-${process.pid}', size: '1MB', backend: '${backend}', path: './attempt.store'};
    const store = await openStore({...options, schema: {n: t.u32}});
    store.destroy();
    return {fine: true};
  } catch (error) {
    return say(error);
  }
}
`;
