/**
 * Cases whose contenders are timed slice by slice, each in a process of its own.
 * @type {Record<string, () => Promise<{default: import('./measured.mjs').TimedCase}>>}
 */
export const timedCases = {
  field: () => import('./field.mjs'),
  scan: () => import('./scan.mjs'),
  string: () => import('./string.mjs'),
  transaction: () => import('./transaction.mjs'),
  table: () => import('./table.mjs'),
  map: () => import('./map.mjs'),
};

/**
 * Cases that measure something else than slices.
 * @type {Record<string, () => Promise<{default: import('./whole.mjs').WholeCase}>>}
 */
export const wholeCases = {
  open: () => import('./open.mjs'),
  memory: () => import('./memory.mjs'),
  churn: () => import('./churn.mjs'),
  together: () => import('./together.mjs'),
};
