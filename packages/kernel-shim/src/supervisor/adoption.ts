import {setTimeout as delay} from 'node:timers/promises';
import {liveService, type RunDir, type ServiceNote} from '../control/run-dir.js';
import {Link, type Received} from '../links/link.js';
import {Kind} from '../links/word.js';
import {native} from '../native.js';

/** A service that lives, and whose supervisor does not. */
export interface Orphan {
  readonly note: ServiceNote;
  /** To the keeper that decides for it, and what that has said; none: it has no keeper. */
  readonly keeper: {readonly link: Link; readonly keeping: Received} | undefined;
}

/** A keeper is asked so often: it does not change its decider while it starts a next generation. */
const TRIES = 100;
const TRY_MS = 100;

/** Takes over from the keeper that decides in a dead supervisor's place. Undefined: there is no such service. */
export async function adoptOrphan(dir: RunDir): Promise<Orphan | undefined> {
  for (let tries = 0; ; tries++) {
    const note = liveService(dir);
    if (!note) return undefined;
    const keeper = await ask(dir.door);
    if (keeper) return {note, keeper};
    const link = native().linkKnock(dir.door);
    if (link >= 0) native().close(link);
    if (link < 0 || tries === TRIES) return {note, keeper: undefined};
    await delay(TRY_MS);
  }
}

async function ask(door: string): Promise<Orphan['keeper']> {
  const fd = native().linkKnock(door);
  if (fd < 0) return undefined;
  native().askWho(fd);
  const link = new Link(fd);
  link.send({kind: Kind.Adopt});
  return new Promise(resolve => {
    link.listen(
      keeping => {
        if (keeping.kind !== Kind.Keeping) return;
        link.unlisten();
        resolve({link, keeping});
      },
      () => resolve(undefined),
      true,
    );
  });
}
