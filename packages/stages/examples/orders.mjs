// Orders that are charged and shipped exactly once. Kill it whenever you like, and start it again.
//   node examples/orders.mjs
import {stages} from '@zlr/stages';
import {openStore, struct, t} from '@zlr/state-store';

const stage = stages('charging', 'shipping');
const Order = struct('Order', {stage: stage.field, amount: t.u32});
const schema = {accepted: t.u32, income: t.u32, shipped: t.u32, orders: t.table(Order, {capacity: 100})};
const store = await openStore({name: 'orders', size: '1MB', schema});
const {root} = store;

const accept = () => root.orders.insert({amount: 100 * ++root.accepted});
while (root.accepted < 5) store.transaction(accept);

const steps = {
  charging: async order => () => (root.income += order.amount), // what is returned is recorded with the next stage
  shipping: async () => () => root.shipped++,
};
const done = order => root.orders.remove(order);
for (const order of [...root.orders]) await stage.run(store, order, steps, done); // from wherever it was
console.log(`shipped ${root.shipped} orders of ${root.income} in all`);
store.destroy();
