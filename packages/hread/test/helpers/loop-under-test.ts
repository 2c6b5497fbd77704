import assert from 'node:assert/strict';
import {fstatSync, readdirSync, readlinkSync} from 'node:fs';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {
  type Channel,
  ChannelLoop,
  type ChannelRecord,
  type ChannelStore,
  channelBytes,
  channelSchema,
  channelStore,
  channelStruct,
  LARGE,
  type Limits,
  type Protocol,
} from '@zlr/hread';
import {openStore} from '@zlr/state-store';
import type {ExecutionContext} from 'ava';

export type TestChannel = Channel<ChannelRecord>;

export interface Content {
  text?: string | Buffer;
  file?: {fd: number; offset: number; length: number};
  close?: boolean;
}

interface Sizes {
  capacity: number;
  large: number;
  small: number;
}

type Handlers = Partial<Omit<Protocol<ChannelRecord>, 'input'>> & {
  input(channel: TestChannel, loop: LoopUnderTest): void;
};

let nextNumber = 1;

/** Goes through the event loop until a condition holds: for what only the kernel or the loop itself can tell. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}

/** How often this process has a file open. */
export function timesOpen(path: string): number {
  return readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path;
    } catch (error) {
      // The descriptor of the listing itself, by now closed.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  }).length;
}

/** A loop in this process, over memory that dies with it: all that needs no fault to be seen. */
export class LoopUnderTest {
  readonly loop: ChannelLoop<ChannelRecord>;
  readonly records: {readonly size: number};
  port = 0;
  /** Channels that have told anything and are not closed. */
  readonly open = new Set<TestChannel>();
  closedCount = 0;

  private constructor(store: ChannelStore<ChannelRecord>, handlers: Handlers, limits: Limits) {
    this.records = store.table;
    const protocol: Protocol<ChannelRecord> = {
      sent() {},
      ended: channel => this.loop.end(channel),
      idle() {},
      overdue() {},
      ...handlers,
      input: channel => {
        this.open.add(channel);
        handlers.input(channel, this);
      },
      closed: channel => {
        this.open.delete(channel);
        this.closedCount++;
        handlers.closed?.(channel);
      },
    };
    this.loop = new ChannelLoop<ChannelRecord>(store, protocol, limits);
  }

  /** It is ended with the test, and must then have all of its extents and records back. */
  static async start(
    t: ExecutionContext,
    handlers: Handlers,
    {capacity = 64, large = 32, small = 2 * capacity, ...limits}: Partial<Limits & Sizes> = {},
  ): Promise<LoopUnderTest> {
    const room = {connections: capacity, large, small};
    const store = await openStore({
      name: `hread-test-${process.pid}-${nextNumber++}`,
      backend: 'memory',
      size: channelBytes(room),
      logSize: '64KB',
      schema: channelSchema(channelStruct({}), room),
    });
    const started = new LoopUnderTest(channelStore(store), handlers, {
      idleSeconds: 300,
      unitSeconds: 300,
      mostHeld: LARGE,
      mostOutput: LARGE,
      inTurn: true,
      ...limits,
    });
    started.loop.recover();
    started.port = (await started.loop.listen({host: '127.0.0.1', port: 0})).port;
    t.teardown(async () => {
      await started.loop.drain(0);
      started.loop.destroy(); // asserts that each extent was given back
      assert.equal(started.records.size, 0, 'each record is removed');
      store.destroy();
    });
    return started;
  }

  held(channel: TestChannel): Buffer {
    return this.loop.copy(channel);
  }

  answer(channel: TestChannel, consumed: number, {text = '', file, close = false}: Content): void {
    const {loop} = this;
    loop.transaction(() => {
      loop.consume(channel, consumed);
      loop.send(channel, typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
      if (file) {
        const {dev: device, ino: inode} = fstatSync(file.fd);
        loop.sendFile(channel, {...file, device, inode});
      }
      if (close) loop.end(channel);
    });
  }

  /** The first held line without its end, or undefined while it is not whole. */
  line(channel: TestChannel): string | undefined {
    const end = this.held(channel).indexOf('\n');
    return end < 0 ? undefined : this.held(channel).toString('latin1', 0, end);
  }

  /** The protocol of most tests: a line is answered by itself. */
  echoLine(channel: TestChannel): void {
    const line = this.line(channel);
    if (line !== undefined) this.answer(channel, line.length + 1, {text: `${line}\n`});
  }
}
