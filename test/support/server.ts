// A loopback server of files with ranges by RFC 9110, and with common faults of servers.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Server {
  readonly url: (path: string) => string;
  /** `METHOD path range` of each request. */
  readonly log: string[];
  readonly close: () => Promise<void>;
}

type Files = ReadonlyMap<string, Uint8Array>;
type Answer = (request: IncomingMessage, response: ServerResponse, bytes: Uint8Array, range: readonly [number, number] | undefined) => void;

/** How a server answers; the names are used in tests. */
export const ANSWERS = {
  ranges(request, response, bytes, range) {
    if (!range) response.writeHead(200, { 'Content-Length': bytes.length }).end(request.method === 'HEAD' ? undefined : bytes);
    else if (range[0] >= bytes.length) response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}` }).end();
    else {
      const end = Math.min(range[1], bytes.length);
      response.writeHead(206, { 'Content-Range': `bytes ${range[0]}-${end - 1}/${bytes.length}` }).end(bytes.subarray(range[0], end));
    }
  },
  /** A page that may not see Content-Range. */
  hidden(request, response, bytes, range) {
    if (request.method === 'HEAD') response.writeHead(200, { 'Content-Length': bytes.length }).end();
    else response.writeHead(206).end(bytes.subarray(range![0], range![1]));
  },
  /** Says of what part, not of how much. */
  unsized(request, response, bytes, range) {
    if (request.method === 'HEAD') return ANSWERS.hidden(request, response, bytes, range);
    const end = Math.min(range![1], bytes.length);
    response.writeHead(206, { 'Content-Range': `bytes ${range![0]}-${end - 1}/*` }).end(bytes.subarray(range![0], end));
  },
  /** Neither that nor a length. */
  blind(request, response, bytes, range) {
    if (request.method === 'HEAD') response.writeHead(200).end();
    else response.writeHead(206).end(bytes.subarray(range![0], range![1]));
  },
  whole(_, response, bytes) {
    response.writeHead(200, { 'Content-Length': bytes.length }).end(bytes);
  },
  wholeInChunks(_, response, bytes) {
    response.writeHead(200);
    response.write(bytes.subarray(0, 1000));
    response.end(bytes.subarray(1000));
  },
  /** Answers the first request well, then with the whole file. */
  changesItsMind(request, response, bytes, range) {
    ANSWERS[range![0] === 0 ? 'ranges' : 'whole'](request, response, bytes, range);
  },
  otherPart(request, response, bytes, range) {
    ANSWERS.ranges(request, response, bytes, range![0] === 0 ? range : [range![0] - 1, range![1] - 1]);
  },
  shrinks(request, response, bytes, range) {
    ANSWERS.ranges(request, response, range![0] === 0 ? bytes : bytes.subarray(0, -1), range);
  },
  short(_, response, bytes, range) {
    const end = Math.min(range![1], bytes.length);
    const part = bytes.subarray(range![0], range![0] === 0 ? end : end - 1);
    response.writeHead(206, { 'Content-Range': `bytes ${range![0]}-${end - 1}/${bytes.length}` }).end(part);
  },
  long(_, response, bytes, range) {
    const end = Math.min(range![1], bytes.length);
    response.writeHead(206, { 'Content-Range': `bytes ${range![0]}-${end - 1}/${bytes.length}` });
    response.end(bytes.subarray(range![0], range![0] === 0 ? end : end + 1));
  },
  breaksOff(_, response, bytes, range) {
    const end = Math.min(range![1], bytes.length);
    const headers = { 'Content-Range': `bytes ${range![0]}-${end - 1}/${bytes.length}`, 'Content-Length': end - range![0] };
    response.writeHead(206, headers);
    if (range![0] === 0) response.end(bytes.subarray(0, end));
    else response.write(bytes.subarray(range![0], range![0] + 10), () => response.destroy());
  },
  nonsense(_, response, bytes) {
    response.writeHead(206, { 'Content-Range': 'bytes x-y/z' }).end(bytes);
  },
  missing(_, response) {
    response.writeHead(404).end('not here');
  },
  /** The first part comes, of later ones ten bytes and then nothing. */
  stalls(request, response, bytes, range) {
    if (range![0] === 0) return ANSWERS.ranges(request, response, bytes, range);
    const end = Math.min(range![1], bytes.length);
    response.writeHead(206, { 'Content-Range': `bytes ${range![0]}-${end - 1}/${bytes.length}` });
    response.write(bytes.subarray(range![0], range![0] + 10));
  },
} satisfies Record<string, Answer>;
export type AnswerName = keyof typeof ANSWERS;

/** Serves files by name. */
export async function serve(files: Files, answer: AnswerName = 'ranges'): Promise<Server> {
  const log: string[] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://localhost').pathname.slice(1));
    const [, begin, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
    log.push(`${request.method} ${path}${begin === undefined ? '' : ` ${begin}-${last}`}`);
    const bytes = files.get(path);
    (bytes ? ANSWERS[answer] : ANSWERS.missing)(
      request,
      response,
      bytes ?? new Uint8Array(0),
      begin === undefined ? undefined : [Number(begin), Number(last) + 1],
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: (path) => `http://127.0.0.1:${port}/${path}`,
    log,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
