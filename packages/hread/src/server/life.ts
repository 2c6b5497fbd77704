import {endOrderly, reregist} from '@zlr/kernel-shim';

/*
 * What the servers of one process have in common: it is declared restartable once, it ends when all of them have ended,
 * and only then in good order.
 */

const open = new Set<() => Promise<void>>();
let isDeclared = false;

async function endAll(): Promise<never> {
  await Promise.all([...open].map(close => close()));
  process.exit(0);
}

/** From here on the process is restartable, and SIGTERM and SIGINT end it in good order. */
export function begin(close: () => Promise<void>): void {
  // Before reregist: from there on the supervisor may ask for the end. They stay until then: a second signal must not
  // cut short what the first one began.
  if (open.size === 0) for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, endAll);
  open.add(close);
  if (isDeclared) return;
  isDeclared = true;
  reregist();
}

/** This server has ended. */
export function over(close: () => Promise<void>): void {
  open.delete(close);
  if (open.size > 0) return;
  endOrderly();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, endAll);
}
