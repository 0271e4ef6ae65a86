import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

/** What one request was. */
interface Seen {
  readonly method: string;
  /** Decoded path without the bucket: the key. */
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

export type Answer = (seen: Seen, response: ServerResponse) => void;

/** An HTTP server that says to S3 requests what a test wants said: for what real servers do only seldom. */
export interface FakeS3 {
  readonly endpoint: string;
  /** Every request so far, as `METHOD key?query-names`. */
  readonly log: string[];
  answer: Answer;
  close(): Promise<void>;
}

export async function startFakeS3(): Promise<FakeS3> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const url = new URL(request.url ?? '/', 'http://fake');
      const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
      const method = request.method ?? '';
      url.searchParams.delete('x-id');
      const names = [...url.searchParams.keys()].filter((name) =>
        /^(delete|uploads|uploadId|partNumber|list-type)$/.test(name),
      );
      fake.log.push(`${method} ${key}${names.length === 0 ? '' : `?${names.sort().join('&')}`}`);
      fake.answer(
        { method, key, query: url.searchParams, headers: request.headers, body: Buffer.concat(chunks) },
        response,
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const fake: FakeS3 = {
    endpoint: `http://127.0.0.1:${port}`,
    log: [],
    answer: (_seen, response) => sendError(response, 500, 'InternalError'),
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}

export function sendXml(response: ServerResponse, body: string, status = 200): void {
  const text = `<?xml version="1.0" encoding="UTF-8"?>${body}`;
  response.writeHead(status, { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

export function sendError(response: ServerResponse, status: number, code: string): void {
  sendXml(response, `<Error><Code>${code}</Code><Message>said by the test</Message></Error>`, status);
}

export interface Listed {
  readonly key: string;
  readonly size?: number;
}

/** An answer to ListObjectsV2. */
export function sendListing(
  response: ServerResponse,
  keys: readonly Listed[],
  prefixes: readonly string[] = [],
  next?: { readonly token?: string },
): void {
  const contents = keys.map(
    ({ key, size = 1 }) =>
      `<Contents><Key>${encodeURIComponent(key)}</Key><Size>${size}</Size><ETag>"e"</ETag>` +
      '<LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents>',
  );
  const common = prefixes.map(
    (prefix) => `<CommonPrefixes><Prefix>${encodeURIComponent(prefix)}</Prefix></CommonPrefixes>`,
  );
  const token = next?.token === undefined ? '' : `<NextContinuationToken>${next.token}</NextContinuationToken>`;
  const truncated = `<IsTruncated>${next !== undefined}</IsTruncated>`;
  const children = [truncated, token, ...contents, ...common].join('');
  sendXml(response, `<ListBucketResult><EncodingType>url</EncodingType>${children}</ListBucketResult>`);
}

/** Answers like a small S3 that lists a fixed set of keys, `pageSize` entries at a time; other requests are refused. */
export function listingOf(keys: readonly string[], pageSize: number): Answer {
  return ({ query }, response) => {
    if (query.get('list-type') !== '2') return sendError(response, 404, 'NoSuchKey');
    const prefix = query.get('prefix') ?? '';
    const delimiter = query.get('delimiter');
    const entries = new Map<string, boolean>();
    for (const key of keys.filter((each) => each.startsWith(prefix))) {
      const slash = delimiter === null ? -1 : key.indexOf(delimiter, prefix.length);
      entries.set(slash === -1 ? key : key.slice(0, slash + 1), slash !== -1);
    }
    const sorted = [...entries].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const start = Number(query.get('continuation-token') ?? 0);
    const limit = Math.min(pageSize, Number(query.get('max-keys')));
    const page = sorted.slice(start, start + limit);
    sendListing(
      response,
      page.filter(([, common]) => !common).map(([key]) => ({ key })),
      page.filter(([, common]) => common).map(([key]) => key),
      start + limit < sorted.length ? { token: String(start + limit) } : undefined,
    );
  };
}
