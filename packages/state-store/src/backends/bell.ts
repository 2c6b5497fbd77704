import {closeSync, openSync, rmSync, utimesSync, watch} from 'node:fs';
import {shownPath, told} from './refusal.js';

/** How a writer wakes the watchers of a store: rung at a commit, but only when one of them sleeps. */
export interface Bell {
  ring(): void;
  /** Calls `rung` at every ring from now on; returns what ends it. */
  listen(rung: () => void): () => void;
  remove(): void;
}

/** A file whose times are touched: inotify wakes the watchers, whatever process they are in. */
export class FileBell implements Bell {
  constructor(
    private readonly path: string,
    /** False when the file is the store's own. */
    private readonly own: boolean,
    private readonly touch = () => utimesSync(path, new Date(), new Date()),
  ) {}
  private warned = false;
  ring(): void {
    try {
      this.touch();
    } catch (error) {
      // The store was destroyed by another process, its bell with it: nobody is left to be woken.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT' || this.warned) return;
      // What was committed stays committed, whoever does not hear of it.
      this.warned = true;
      process.emitWarning(`watchers cannot be woken: ${(error as Error).message}`, {code: 'ZLR_BELL'});
    }
  }
  listen(rung: () => void): () => void {
    const watcher = told(shownPath(this.path), () => {
      if (this.own) closeSync(openSync(this.path, 'a', 0o600));
      return watch(this.path, rung);
    });
    return () => watcher.close();
  }
  remove(): void {
    if (this.own) rmSync(this.path, {force: true});
  }
}

/** Within one process, its worker threads included. */
export class ChannelBell implements Bell {
  constructor(private readonly name: string) {}
  ring(): void {
    const channel = new BroadcastChannel(this.name);
    channel.postMessage(0);
    channel.close();
  }
  listen(rung: () => void): () => void {
    const channel = new BroadcastChannel(this.name);
    channel.onmessage = rung;
    return () => channel.close();
  }
  remove(): void {}
}
