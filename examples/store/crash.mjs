// Kills itself inside a transaction, and looks what is there: node crash.mjs
import {spawnSync} from 'node:child_process';
import {fileURLToPath} from 'node:url';
import {openStore, struct, t} from '@zlr/state-store';

const [name = 'example-crash', victim] = process.argv.slice(2);
const Account = struct('Account', {owner: t.string(), cents: t.uint});
const store = await openStore({name, size: '1MB', backend: 'sysv', schema: {accounts: t.table(Account)}});
const {accounts} = store.root;

if (victim) {
  const ada = accounts.insert({owner: 'ada', cents: 1000});
  const grace = accounts.insert({owner: 'grace', cents: 0});
  store.transaction(() => {
    ada.cents -= 400;
    grace.cents += 400;
  });
  store.transaction(() => {
    ada.cents -= 500;
    ada.owner = 'ada, half way';
    accounts.remove(grace);
    process.kill(process.pid, 'SIGKILL');
    for (;;); // the signal is on its way
  });
}

store.close();
const {signal} = spawnSync(process.execPath, [fileURLToPath(import.meta.url), name, 'victim']);
console.log('the other process died of', signal); //> the other process died of SIGKILL

const after = await openStore({name, backend: 'sysv', schema: {accounts: t.table(Account)}});
for (const {owner, cents} of after.root.accounts) console.log(owner, cents);
//> ada 600
//> grace 400
console.log(after.info().recovered > 0, after.check().ok); //> true true
after.destroy();
