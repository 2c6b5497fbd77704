import type {Registration} from './backend.js';

/** This process as it was started. */
export function ownRegistration(childId: number): Registration {
  const envp: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) envp[name] = value;
  return {
    binPath: process.execPath,
    argv: [process.argv0, ...process.execArgv, ...process.argv.slice(1)],
    envp,
    childId,
  };
}
