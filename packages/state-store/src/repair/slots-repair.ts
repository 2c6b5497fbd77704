import {LAST_GENERATION, type Slots} from '../collections/slots.js';

/** What the free list of slots names, in order; `whole`: it names free slots only once each, or live ones, and ends. */
function listed(slots: Slots): {named: Set<number>; whole: boolean} {
  const {u32} = slots.engine.memory;
  const named = new Set<number>();
  for (let next = u32[slots.head * 2]!; next !== 0; next = u32[slots.cell(next - 1) * 2]!) {
    if (next > slots.used || named.has(next - 1)) return {named, whole: false};
    named.add(next - 1);
  }
  return {named, whole: true};
}

/**
 * Slots whose generation says something else than the free list, where the list is whole and the number of live slots in the
 * head says that the list is right.
 */
export function strays(slots: Slots): {slot: number; reason: string}[] {
  const {named, whole} = listed(slots);
  if (!whole) return [];
  const found: {slot: number; reason: string}[] = [];
  let live = 0;
  let expected = 0;
  for (let slot = 0; slot < slots.used; slot++) {
    const generation = slots.generation(slot);
    const retired = generation === LAST_GENERATION + 1;
    if (generation & 1) live++;
    if (named.has(slot) || retired) {
      if (generation & 1 && !retired)
        found.push({slot, reason: 'is in use, but the list of free slots has it'});
    } else {
      expected++;
      if (!(generation & 1)) found.push({slot, reason: 'is not in use, but the list of free slots lacks it'});
    }
  }
  return found.length > 0 && expected === slots.live && live !== slots.live ? found : [];
}

/**
 * Slots above all that are used never were in use. If some are, the head tells by the number of live slots whether it is the
 * number of used ones that is wrong; otherwise they are.
 */
export function settleUsed(slots: Slots): void {
  const {engine, head, used, capacity} = slots;
  const {memory, log} = engine;
  const above: number[] = [];
  let below = 0;
  for (let slot = 0; slot < capacity; slot++)
    if (slots.generation(slot) & 1) {
      if (slot < used) below++;
      else above.push(slot);
    }
  if (above.length === 0) return;
  if (below === slots.live)
    engine.inSteps(above, 1, slot => setGeneration(slots, slot, slots.generation(slot) + 1));
  else
    engine.transact(() => {
      log.save(head + 1);
      memory.u32[head * 2 + 2] = above.at(-1)! + 1;
    });
}

function setGeneration(slots: Slots, slot: number, generation: number): void {
  const {memory, log} = slots.engine;
  const word = slots.word(slot);
  log.save(word >>> 1);
  memory.u32[word] = generation;
}

/** The free list and the number of live slots anew. A kill on the way leaves a list that is too short. */
export function relistSlots(slots: Slots): void {
  const {engine, head} = slots;
  const {memory, log} = engine;
  const free: number[] = [];
  const beyond: number[] = []; // in lives that none reaches: never used again
  let live = 0;
  for (let slot = slots.used - 1; slot >= 0; slot--) {
    const generation = slots.generation(slot);
    if (generation & 1) live++;
    else if (generation <= LAST_GENERATION) free.push(slot);
    else if (generation > LAST_GENERATION + 1) beyond.push(slot);
  }
  engine.inSteps(beyond, 1, slot => setGeneration(slots, slot, LAST_GENERATION + 1));
  engine.transact(() => {
    log.save(head);
    memory.u32[head * 2] = 0;
    memory.u32[head * 2 + 1] = live;
  });
  engine.inSteps(free, 2, slot => {
    const cell = slots.cell(slot);
    log.save(head);
    log.save(cell);
    memory.u32[cell * 2] = memory.u32[head * 2]!;
    memory.u32[head * 2] = slot + 1;
  });
}
