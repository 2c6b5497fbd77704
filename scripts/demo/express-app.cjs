// An ordinary Express program: it streams one file, piece by piece, and knows nothing of restarts.
const {createReadStream, statSync} = require('node:fs');
const {setTimeout: pause} = require('node:timers/promises');
const express = require('express');

const [file] = process.argv.slice(2);
const app = express();
app.get('/data.bin', async (_request, response) => {
  response.set('Content-Length', `${statSync(file).size}`);
  for await (const piece of createReadStream(file)) {
    response.write(piece);
    await pause(8); // what it takes to make the next one
  }
  response.end();
});
const server = app.listen(0, '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
