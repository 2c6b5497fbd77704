/**
 * What holding costs: hread() beside read(2) of the same bytes from the same TCP socket, in C alone and from JavaScript.
 *
 * Goal: the price of one call for what the thesis' hread does, at 64 B to 32 KiB. No goal: throughput of a loop that
 * serves many sockets (bench/serve.mjs), or the price of recovery (bench/restart.mjs).
 *
 *   npm run bench -- hread [--json] [--rounds N]
 */
import {writeSync} from 'node:fs';
import {channelBytes, channelSchema, channelStruct, Extents, HeldStream, LARGE} from '@zlr/hread';
import {native} from '@zlr/kernel-shim/internal';
import {openStore} from '@zlr/state-store';
import {interleave, ratio, readOptions, report, show, summarize, table, withScratch} from './harness.mjs';
import {socketPair} from './hread/socket-pair.mjs';

const SIZES = [64, 256, 1024, 4096, 16384, 32768];
/** Reads under one reading of the clock, so that it counts for little; few enough that most are not interrupted. */
const BATCH = 32;
const BATCH_BYTES = 16 * 1024;
/** Batches of either reader in a round. */
const SLICES = 400;

const options = readOptions({rounds: 11});

/** @param {number} size */
const batchFor = size => Math.min(BATCH, Math.ceil(BATCH_BYTES / size));

/** @param {number} result */
function checked(result) {
  if (result < 0) throw new Error(`a read failed with errno ${-result}`);
  return result;
}

const samples = await withScratch(async ({defer}) => {
  const room = {connections: 4, large: 8, small: 4};
  const store = await openStore({
    name: `bench-hread-${process.pid}`,
    size: channelBytes(room),
    schema: channelSchema(channelStruct({}), room),
  });
  defer(() => store.destroy());
  const {reader, feeder, close} = await socketPair();
  defer(close);

  const extents = new Extents(store.root.zlrPool, store.root.zlrExtents);
  extents.free(new Set());
  const table = store.root.zlrChannels;
  const layout = store.layout('zlrChannels');
  const {memory, entries, large, small, numbers} = extents;
  // A record for each: one reader does not know how far the other one has come.
  const record = table.insert({fd: reader});
  const {byteOffset, stride} = layout;
  const start = byteOffset + record.$index * stride;
  const handle = native().heldOpen(
    [store.memory.subarray(start, start + stride), memory, entries, large, small, new Uint32Array(8)],
    Uint32Array.from(numbers),
    record.$index + 1,
    2 * LARGE,
    reader,
    0,
  );
  const held = new HeldStream(
    {memory: store.memory, layout},
    extents,
    table.insert({fd: reader}),
    reader,
    0,
    2 * LARGE,
  );
  const buffer = Buffer.alloc(Math.max(...SIZES));

  const content = Buffer.alloc(Math.max(...SIZES));
  for (let at = 0; at < content.length; at += 4) content.writeUInt32LE((at * 2654435761) >>> 0, at);

  /**
   * Nanoseconds of a batch of reads of `size` bytes each.
   * @param {number} size
   * @param {(length: number) => number} read negative while the bytes are on their way
   */
  function measureInJs(size, read) {
    const batch = batchFor(size);
    const bytes = content.subarray(0, size);
    for (let each = 0; each < batch; each++) writeSync(feeder, bytes);
    const begin = process.hrtime.bigint();
    for (let left = batch * size; left > 0; ) {
      const n = read(Math.min(left, size));
      if (n > 0) left -= n;
    }
    return Number(process.hrtime.bigint() - begin);
  }

  function readPlainly(/** @type {number} */ length) {
    return native().readSocket(reader, buffer, length);
  }

  let toDelete = 0;
  function readHolding(/** @type {number} */ length) {
    const n = held.hread(length, toDelete);
    toDelete = Math.max(n, 0);
    return n;
  }

  /** @type {Record<string, () => {read: number, hread: number}>} */
  const contenders = {};
  for (const size of SIZES) {
    const batch = batchFor(size);
    const inC = (/** @type {0 | 1} */ hold) =>
      checked(native().measureReads(handle, feeder, size, batch, hold));
    contenders[`C ${size}`] = () =>
      alternate(
        batch,
        () => inC(0),
        () => inC(1),
      );
    contenders[`JS ${size}`] = () =>
      alternate(
        batch,
        () => {
          const nanoseconds = measureInJs(size, readPlainly);
          verify(buffer.subarray(0, size), content.subarray(0, size), size);
          return nanoseconds;
        },
        () => {
          const nanoseconds = measureInJs(size, readHolding);
          verify(held.held, content.subarray(size - toDelete, size), size);
          held.hread(0, toDelete);
          toDelete = 0;
          return nanoseconds;
        },
      );
  }
  if (!options.small) for (const warmUp of Object.values(contenders)) warmUp();
  return interleave(options, contenders);
});

/**
 * Nanoseconds a read, by either reader: the median of short slices in turn, most of which nothing interrupts.
 * @param {number} batch
 * @param {() => number} read
 * @param {() => number} hread
 */
function alternate(batch, read, hread) {
  const spent = {read: /** @type {number[]} */ ([]), hread: /** @type {number[]} */ ([])};
  for (let slice = 0; slice < (options.small ? 4 : SLICES); slice++) {
    if (slice % 2 === 0) spent.read.push(read());
    spent.hread.push(hread());
    if (slice % 2 === 1) spent.read.push(read());
  }
  return {read: summarize(spent.read).median / batch, hread: summarize(spent.hread).median / batch};
}

/** @param {Buffer} bytes @param {Buffer} expected @param {number} size */
function verify(bytes, expected, size) {
  if (bytes.length === 0 || !bytes.equals(expected))
    throw new Error(`reads of ${size} bytes brought other bytes`);
}

const results = SIZES.flatMap(size =>
  ['C', 'JS'].map(language => {
    const of = samples[`${language} ${size}`] ?? [];
    const read = of.map(each => each.read);
    const hread = of.map(each => each.hread);
    return {language, size, readNs: summarize(read), hreadNs: summarize(hread), ratio: ratio(hread, read)};
  }),
);

report(options, 'hread', {results}, () =>
  table(
    ['bytes', 'from', 'read, ns', 'hread, ns', 'hread / read'],
    results.map(({language, size, readNs, hreadNs, ratio: relative}) => [
      size.toLocaleString('en-US'),
      language,
      show(readNs, 0),
      show(hreadNs, 0),
      show(relative, 2),
    ]),
  ),
);
