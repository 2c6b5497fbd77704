import assert from 'node:assert/strict';
import {readdirSync, readlinkSync} from 'node:fs';
import {setImmediate as nextTurn} from 'node:timers/promises';
import {
  type Channel,
  ChannelLoop,
  type ChannelRecord,
  channelStruct,
  type Protocol,
  SLOT_SIZE,
} from '@zlr/hread';
import {openStore, t as type} from '@zlr/state-store';
import type {ExecutionContext} from 'ava';

export type TestChannel = Channel<ChannelRecord>;

export interface Content {
  text?: string | Buffer;
  file?: {fd: number; offset: number; length: number};
  close?: boolean;
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
  readonly memory: Buffer;
  readonly records: {readonly size: number};
  port = 0;
  /** Channels that have told anything and are not closed. */
  readonly open = new Set<TestChannel>();
  closedCount = 0;

  private constructor(
    store: {memory: Uint8Array; transaction<T>(work: () => T): T},
    table: ConstructorParameters<typeof ChannelLoop<ChannelRecord>>[0]['table'],
    layout: ConstructorParameters<typeof ChannelLoop<ChannelRecord>>[0]['layout'],
    slots: Buffer,
    handlers: Handlers,
    idleSeconds: number,
  ) {
    this.memory = slots;
    this.records = table;
    const protocol: Protocol<ChannelRecord> = {
      sent() {},
      ended: channel => this.loop.close(channel),
      idle() {},
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
    this.loop = new ChannelLoop<ChannelRecord>(
      {memory: store.memory, transaction: work => store.transaction(work), table, layout, slots},
      protocol,
      idleSeconds,
    );
  }

  /** It is ended with the test, and must then have all of its slots and records back. */
  static async start(
    t: ExecutionContext,
    handlers: Handlers,
    {capacity = 64, slots = 32, idleSeconds = 300} = {},
  ): Promise<LoopUnderTest> {
    const store = await openStore({
      name: `hread-test-${process.pid}-${nextNumber++}`,
      backend: 'memory',
      size: capacity * 256 + slots * SLOT_SIZE + 2 ** 20,
      logSize: '64KB',
      schema: {
        channels: type.table(channelStruct({}), {capacity}),
        slots: type.raw(slots * SLOT_SIZE),
      },
    });
    const {root} = store;
    const started = new LoopUnderTest(
      {memory: store.memory, transaction: work => store.transaction(work)},
      root.channels,
      store.layout('channels'),
      root.slots,
      handlers,
      idleSeconds,
    );
    started.loop.recover();
    started.port = (await started.loop.listen({host: '127.0.0.1', port: 0})).port;
    t.teardown(async () => {
      await started.loop.drain(0);
      started.loop.destroy(); // asserts that each slot was given back
      assert.equal(started.records.size, 0, 'each record is removed');
      store.destroy();
    });
    return started;
  }

  held(channel: TestChannel): Buffer {
    return this.memory.subarray(channel.start, channel.end);
  }

  /** False: there was no slot, and the input stays held. */
  answer(channel: TestChannel, consumed: number, {text = '', file, close = false}: Content): boolean {
    let slot = -1;
    let length = 0;
    if (text.length > 0) {
      slot = this.loop.takeSlot(channel);
      if (slot < 0) return false;
      const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
      length = bytes.copy(this.memory, slot * SLOT_SIZE);
    }
    this.loop.answer(channel, consumed, {
      slot,
      length,
      fileFd: file?.fd ?? -1,
      fileOffset: file?.offset ?? 0,
      fileLength: file?.length ?? 0,
      close,
    });
    return true;
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
