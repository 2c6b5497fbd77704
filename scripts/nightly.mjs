// The random tests of the store at length: thousands of kills, more steps cut off, more damage. About a quarter of an hour.
process.env['ZLR_KILLS'] ??= '5000';
process.env['ZLR_CUT_STEPS'] ??= '150';
process.env['ZLR_FUZZ'] ??= '20000';
const store = 'packages/state-store/test';
process.argv.push(...['crash-sigkill', 'crash-every-store', 'fuzz'].map(name => `${store}/${name}.test.ts`));
await import('./test.mjs');
