// A server that answers each line with the number of lines it has ever answered, and the line. Kill it as you like.
//   npx zlr run --name lines -- node examples/line-server.mjs 7000
import {ChannelLoop, channelStruct, SLOT_SIZE} from '@zlr/hread';
import {endOrderly, generation, reregist} from '@zlr/kernel-shim';
import {openStore, t} from '@zlr/state-store';

const store = await openStore({
  name: `lines-${process.argv[2] ?? 0}`,
  size: '16MB',
  schema: {
    lines: t.uint,
    channels: t.table(channelStruct({}), {capacity: 256}),
    slots: t.raw(128 * SLOT_SIZE),
  },
});
const {root} = store;

const loop = new ChannelLoop(
  {
    memory: store.memory,
    transaction: work => store.transaction(work),
    table: root.channels,
    layout: store.layout('channels'),
    slots: root.slots,
  },
  {
    input(channel) {
      const end = root.slots.indexOf('\n', channel.start);
      if (end < 0 || end >= channel.end) return; // held until the rest of the line is there
      const slot = loop.takeSlot(channel);
      if (slot < 0) return;
      const line = root.slots.latin1Slice(channel.start, end);
      // One transaction: the count, the line's deletion and the answer happen together or not at all.
      store.transaction(() => {
        root.lines++;
        const length = root.slots.write(`${root.lines} ${line}\n`, slot * SLOT_SIZE, 'latin1');
        const answer = {slot, length, fileFd: -1, fileOffset: 0, fileLength: 0, close: false};
        loop.answer(channel, end + 1 - channel.start, answer);
      });
    },
    sent() {},
    ended: channel => loop.close(channel),
    idle: channel => loop.close(channel),
    closed() {},
  },
  300,
);

// Before reregist: from there on a SIGTERM may come.
process.once('SIGTERM', async () => {
  await listening;
  await loop.drain(10);
  loop.destroy();
  store.destroy();
  endOrderly();
  process.exit(0);
});
reregist();
loop.recover();
const listening = loop.listen({host: '127.0.0.1', port: Number(process.argv[2] ?? 0)});
const {address, port} = await listening;
if (generation() === 1) console.log(`listening on ${address} ${port}`);
