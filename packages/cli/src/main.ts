import {ShimError} from '@zlr/kernel-shim';
import {StoreError} from '@zlr/state-store';
import {execute} from './commands.js';
import {CliError} from './errors.js';

try {
  process.exitCode = await execute(process.argv.slice(2));
} catch (error) {
  // Anything else is a bug of ours, and its stack is what we want to be sent.
  if (!(error instanceof CliError) && !(error instanceof ShimError) && !(error instanceof StoreError))
    throw error;
  console.error(`zlr: ${error.message}`);
  process.exitCode = error instanceof CliError ? error.exitCode : 1;
}
