// Serves a folder; its downloads outlive its process.
//   npx zlr run --name site -- node examples/static-site.mjs ./public 8080
import {StaticServer} from '@zlr/http';

const [root, port = 8080] = process.argv.slice(2);
const server = await StaticServer.open({root, name: 'site'});
let isEnding = false;
process.on('SIGTERM', async () => {
  if (isEnding) return; // a second signal does not cut short what the first began
  isEnding = true;
  await server.close();
  process.exit(0);
});
const {recovered, stages} = server.recover(); // from here on its connections outlive it
const address = await server.listen('127.0.0.1', Number(port));
console.log(`listening on port ${address.port}, ${recovered} connections go on`, stages);
