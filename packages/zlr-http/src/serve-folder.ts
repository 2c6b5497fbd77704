import {generation, isSupervised, ownName, whenStandingBy} from '@zlr/kernel-shim';
import {complaint, optional, port, say, systemText, text} from '@zlr/kernel-shim/internal';
import {HttpError} from './errors.js';
import {becomeSupervisor} from './self-supervision.js';
import {StaticServer} from './server.js';

/** Of `serveFolder`. */
export interface FolderOptions {
  /** The folder whose files are served. */
  root: string;
  port: number;
  /** Default: 127.0.0.1. */
  host?: string;
  /** Names the service for `zlr status` and `zlr stop`, and its state; default 'zlr'. */
  name?: string;
}

const OPTIONS = {root: systemText, port, host: optional(text), name: optional(systemText)};

/**
 * Serves the files of a folder over connections that outlive the process: what `zlr serve` does, as a call.
 *
 * The program is started twice: where no supervisor started it, this call becomes one, starts the program once more, and ends
 * this process when that one has ended for good. So call it before what must be there once only.
 *
 * @returns where it listens; never in the supervisor
 * @throws HttpError OPTION_INVALID, ROOT_UNUSABLE; HreadError LISTEN_FAILED, HOST_UNKNOWN; StoreError
 */
export async function serveFolder(options: FolderOptions): Promise<{address: string; port: number}> {
  const wrong = complaint('serveFolder', options, OPTIONS);
  if (wrong !== undefined) throw new HttpError('OPTION_INVALID', wrong);
  const {root, port, host = '127.0.0.1', name = 'zlr'} = options;
  if (!isSupervised()) return becomeSupervisor(name);
  return startServing({root, port, host, name});
}

/** In the one order in which it is right: the folder and the state, the signals, recovery, the port. */
export async function startServing({
  root,
  port,
  host,
  name: service,
}: Required<FolderOptions>): Promise<{address: string; port: number}> {
  const name = ownName(service);
  whenStandingBy(() => StaticServer.rehearse({root, name}));
  const server = await StaticServer.open({root, name});
  // Before recover, which registers: from there on the supervisor may send it.
  let listening: Promise<{address: string; port: number}> | undefined;
  let isEnding = false;
  const end = async (): Promise<void> => {
    // The handlers stay: a second signal must not cut short what the first one began.
    if (isEnding) return;
    isEnding = true;
    try {
      await listening;
    } catch {
      return; // whoever awaits it says why it cannot listen, and ends
    }
    await server.close();
    process.exit(0);
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);

  const {recovered, adopted, dropped, stages} = server.recover();
  if (generation() > 1) {
    const {reading, processing, sending} = stages;
    say(
      `generation ${generation()} goes on with ${recovered} connections (at the fault: ${reading} reading, ` +
        `${processing} processing, ${sending} sending), ${adopted} new, ${dropped} gone`,
    );
  }
  listening = server.listen(host, port);
  return listening.catch(async (error: unknown) => {
    await server.close(); // or its segment would stay behind
    throw error;
  });
}
