import {supervise} from '@zlr/kernel-shim';

/** Starts this very program once more as a service, and ends with it. */
export async function becomeSupervisor(name: string): Promise<never> {
  const command = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  const supervisor = await supervise({name, command});
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, () => supervisor.stop());
  process.exit((await supervisor.done).exitCode);
}
