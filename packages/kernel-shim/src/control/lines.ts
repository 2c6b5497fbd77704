import type {Socket} from 'node:net';

/** A message of the control socket: one JSON object a line. */
export type Message = {type: string} & Record<string, unknown>;

const LINE_MAX = 1 << 16;

/** Calls back for each whole line; a peer that sends anything else is cut off. */
export function onMessages(socket: Socket, receive: (message: Message) => void): void {
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    rest += chunk;
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 1);
      const message = parse(line);
      if (!message) {
        socket.destroy(new Error(`not a line of JSON with a type: ${line.slice(0, 80)}`));
        return;
      }
      receive(message);
    }
    if (rest.length > LINE_MAX) socket.destroy(new Error('a control message longer than 64 KiB'));
  });
}

function parse(line: string): Message | undefined {
  try {
    const message = JSON.parse(line) as Partial<Message> | null;
    return typeof message?.type === 'string' ? (message as Message) : undefined;
  } catch {
    return undefined; // the one thing that can be wrong here: a SyntaxError
  }
}

export function send(socket: Socket, message: Message): void {
  socket.write(`${JSON.stringify(message)}\n`);
}
