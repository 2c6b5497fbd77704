import {COMPLETE, parseRequest} from '../src/message/request.js';
import {RequestHead} from '../src/message/request-head.js';

/** The head of a valid request with these field lines. */
export function requestOf(requestLine: string, ...fields: string[]): RequestHead {
  const text = `${[requestLine, 'Host: h', ...fields].join('\r\n')}\r\n\r\n`;
  const memory = Buffer.from(text, 'latin1');
  const head = new RequestHead();
  const status = parseRequest(memory, 0, memory.length, head);
  if (status !== COMPLETE) throw new Error(`not a valid request (${status}): ${text}`);
  return head;
}
