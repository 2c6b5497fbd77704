// The random tests at length: of the store with thousands of kills, more steps cut off, more damage, about a quarter of an hour;
// of kept HTTP connections with 500 kills and long fuzzing, a few minutes; of whole services with 3,000 faults, with and without a standby,
// and storms, an hour.
process.env['ZLR_KILLS'] ??= '5000';
process.env['ZLR_CUT_STEPS'] ??= '150';
process.env['ZLR_FUZZ'] ??= '20000';
process.env['ZLR_DROPIN_FAULTS'] ??= '500';
process.env['ZLR_TORTURE_FAULTS'] ??= '3000';
process.env['ZLR_STORM_ROUNDS'] ??= '300';
process.env['ZLR_TEST_SILENCE_MS'] ??= `${3 * 3600_000}`; // one test may take long
const store = 'packages/state-store/test';
process.argv.push(...['crash-sigkill', 'crash-every-store', 'fuzz'].map(name => `${store}/${name}.test.ts`));
process.argv.push('test/dropin/torture.test.ts', 'packages/zlr-http/test/dropin/framing.test.ts');
process.argv.push('test/torture.test.ts', 'packages/kernel-shim/test/storm.test.ts');
await import('./test.mjs');
