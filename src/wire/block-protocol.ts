import type { UfsFact } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { MountId } from '../model/mount.ts';

/** Largest page that a worker may be set to. Writes at multiples of it are aligned at every worker. */
export const MAX_PAGE_SIZE_BYTES = 8 * 2 ** 20;

/** Largest body with a checksum: it is held in memory until it is proved good. */
export const MAX_CHECKED_BODY_BYTES = 16 * 2 ** 20;

/** Largest block of a file. */
const MAX_BLOCK_SIZE_BYTES = 2 ** 40;

/** Headers of our own on block requests and replies, in lower case. */
export const BLOCK_HEADERS = Object.freeze({
  /** Request: CRC-32 of the whole body as eight hex digits; checked when given, before a byte is used. */
  crc32: 'x-sluice-crc32',
  /** Reply to a read: pages of the range that were in the cache when the reply began. */
  hitPages: 'x-sluice-hit-pages',
  /** Reply to a read: pages of the range that had to be fetched from the UFS. */
  missPages: 'x-sluice-miss-pages',
});

/** Reads a range (header `Range`, one range inside the block; none is the whole block) of a block. */
export interface ReadBlock {
  readonly kind: 'readBlock';
  readonly fileId: number;
  readonly block: number;
  readonly version: string;
  /** Bytes that this block has: less than the file's block size only for the last one. */
  readonly blockLength: number;
  /** Where the block begins in its file. */
  readonly offsetInFile: number;
  /** Where a miss is fetched from; absent with `path` for content that only workers have: then a miss is NOT_FOUND. */
  readonly mount?: MountId;
  /** Path relative to the mount's URI. */
  readonly path?: string;
}

/**
 * Puts bytes (the body, Content-Length required) into the cache only. They begin at `offset` in the block, a multiple
 * of the worker's page size, and end at a page boundary or at the end of the block. Protected: never evicted, on disk
 * before the reply.
 */
export interface WriteBlock {
  readonly kind: 'writeBlock';
  readonly fileId: number;
  readonly block: number;
  readonly version: string;
  readonly offset: number;
  readonly protect: boolean;
}

/**
 * Begins a file in a UFS. A body is appended at once, as by `appendUpload` at the begin of block 0; when that fails the
 * upload is aborted. Reply: `UploadOpened`.
 */
export interface OpenUpload {
  readonly kind: 'openUpload';
  readonly fileId: number;
  readonly mount: MountId;
  readonly path: string;
  readonly blockSize: number;
  readonly mode?: number;
  readonly owner?: string;
  readonly group?: string;
  /** As in `AppendUpload`, for the body. */
  readonly cache?: boolean;
}

/**
 * Appends the body to an upload: byte `block * blockSize + offset` of the file must be the next one, else
 * INVALID_ARGUMENT with `details.position`, where the next append must begin. After a broken connection the position
 * tells what has arrived.
 */
export interface AppendUpload {
  readonly kind: 'appendUpload';
  readonly uploadId: string;
  readonly block: number;
  readonly offset: number;
  /** Also keep these pages in this worker's cache; must be the same for all appends of a block. */
  readonly cache: boolean;
}

/**
 * Makes the file visible in the UFS. Reply: its `UfsFact`. Pages staged at this worker take its version. May be
 * repeated.
 */
export interface CompleteUpload {
  readonly kind: 'completeUpload';
  readonly uploadId: string;
  /** Bytes of the file; refused with INVALID_ARGUMENT when the worker has another number. */
  readonly length: number;
}

/** Gives an upload up; leaves no trace. An unknown upload is no error. */
interface AbortUpload {
  readonly kind: 'abortUpload';
  readonly uploadId: string;
}

/** Renames the cached pages of a content, e.g. staged ones when the version is known. */
export interface AdoptContent {
  readonly kind: 'adoptContent';
  readonly fileId: number;
  readonly from: string;
  readonly to: string;
  readonly protect: boolean;
}

/** Drops the cached pages of a file, of one version when given, protected ones too. */
interface DropContent {
  readonly kind: 'dropContent';
  readonly fileId: number;
  readonly version?: string;
}

/** What a client can ask of a worker's HTTP service. Paths and query fields carry the names of the properties. */
export type BlockRequest =
  | ReadBlock
  | WriteBlock
  | OpenUpload
  | AppendUpload
  | CompleteUpload
  | AbortUpload
  | AdoptContent
  | DropContent
  | { readonly kind: 'status' }
  | { readonly kind: 'metrics' }
  | { readonly kind: 'health' };

/** Reply to `openUpload`. */
export interface UploadOpened {
  readonly uploadId: string;
  /** Version under which pages of this upload are staged, here and at other workers, until `adoptContent`. */
  readonly stagedVersion: string;
}

/** Reply to `status`. */
export interface BlockServiceStatus {
  readonly workerId: string;
  readonly pageSizeBytes: number;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly protectedBytes: number;
  readonly pageCount: number;
}

/** Word for each request. */
export type BlockRequestKind = BlockRequest['kind'];
/** The request of one kind. */
export type BlockRequestOf<K extends BlockRequestKind> = Extract<BlockRequest, { readonly kind: K }>;

interface Field {
  readonly wanted: string;
  readonly optional: boolean;
  parse(text: string): string | number | boolean | undefined;
}

interface Route<K extends BlockRequestKind> {
  readonly method: 'GET' | 'PUT' | 'POST' | 'DELETE';
  /** `{name}` stands for the field of that name; all other fields are in the query. */
  readonly path: string;
  readonly fields: { readonly [F in keyof Omit<BlockRequestOf<K>, 'kind'>]-?: Field };
}

function whole(min: number, max: number): Field {
  return {
    wanted: `a whole number from ${min} to ${max}`,
    optional: false,
    parse(text) {
      const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
      return value >= min && value <= max ? value : undefined;
    },
  };
}

const WHOLE = whole(0, Number.MAX_SAFE_INTEGER);
const POSITIVE = whole(1, Number.MAX_SAFE_INTEGER);
const BLOCK = whole(0, 2 ** 29 - 1);
const BLOCK_LENGTH = whole(1, MAX_BLOCK_SIZE_BYTES);
const BLOCK_OFFSET = whole(0, MAX_BLOCK_SIZE_BYTES - 1);
const MODE = whole(0, 0o7777);
const TEXT: Field = {
  wanted: 'text of 1 to 8192 characters',
  optional: false,
  parse: (text) => (text !== '' && text.length <= 8192 ? text : undefined),
};
const FLAG: Field = {
  wanted: 'true or false',
  optional: false,
  parse: (text) => (text === 'true' ? true : text === 'false' ? false : undefined),
};

function optional(field: Field): Field {
  return { ...field, optional: true };
}

const BLOCK_PATH = '/v1/blocks/{fileId}/{block}';

const ROUTES: { readonly [K in BlockRequestKind]: Route<K> } = {
  readBlock: {
    method: 'GET',
    path: BLOCK_PATH,
    fields: {
      fileId: WHOLE,
      block: BLOCK,
      version: TEXT,
      blockLength: BLOCK_LENGTH,
      offsetInFile: WHOLE,
      mount: optional(POSITIVE),
      path: optional(TEXT),
    },
  },
  writeBlock: {
    method: 'PUT',
    path: BLOCK_PATH,
    fields: { fileId: WHOLE, block: BLOCK, version: TEXT, offset: BLOCK_OFFSET, protect: FLAG },
  },
  openUpload: {
    method: 'POST',
    path: '/v1/uploads',
    fields: {
      fileId: WHOLE,
      mount: POSITIVE,
      path: TEXT,
      blockSize: BLOCK_LENGTH,
      mode: optional(MODE),
      owner: optional(TEXT),
      group: optional(TEXT),
      cache: optional(FLAG),
    },
  },
  appendUpload: {
    method: 'PUT',
    path: '/v1/uploads/{uploadId}/blocks/{block}',
    fields: { uploadId: TEXT, block: BLOCK, offset: BLOCK_OFFSET, cache: FLAG },
  },
  completeUpload: {
    method: 'POST',
    path: '/v1/uploads/{uploadId}/complete',
    fields: { uploadId: TEXT, length: WHOLE },
  },
  abortUpload: { method: 'DELETE', path: '/v1/uploads/{uploadId}', fields: { uploadId: TEXT } },
  adoptContent: {
    method: 'POST',
    path: '/v1/contents/{fileId}/adopt',
    fields: { fileId: WHOLE, from: TEXT, to: TEXT, protect: FLAG },
  },
  dropContent: {
    method: 'DELETE',
    path: '/v1/contents/{fileId}',
    fields: { fileId: WHOLE, version: optional(TEXT) },
  },
  status: { method: 'GET', path: '/v1/status', fields: {} },
  metrics: { method: 'GET', path: '/metrics', fields: {} },
  health: { method: 'GET', path: '/healthz', fields: {} },
};

const PATTERNS = Object.entries(ROUTES).map(([kind, route]) => ({
  kind,
  method: route.method,
  path: route.path,
  segments: route.path.split('/'),
  fields: new Map<string, Field>(Object.entries(route.fields)),
}));

/** Method and request target (path and query) of a request, for `http.request`. */
export function formatBlockRequest(request: BlockRequest): { readonly method: string; readonly target: string } {
  const route = ROUTES[request.kind];
  const query = new URLSearchParams();
  let path: string = route.path;
  for (const [name, value] of Object.entries(request)) {
    if (name === 'kind' || value === undefined) continue;
    if (path.includes(`{${name}}`)) path = path.replace(`{${name}}`, encodeURIComponent(String(value)));
    else query.set(name, String(value));
  }
  const search = query.toString();
  return { method: route.method, target: search === '' ? path : `${path}?${search}` };
}

type Pattern = (typeof PATTERNS)[number];

/** The texts of the path's fields, undefined when the path is another one. */
function matchPath(pattern: Pattern, segments: readonly string[]): Map<string, string> | undefined {
  if (pattern.segments.length !== segments.length) return undefined;
  const found = new Map<string, string>();
  for (const [at, wanted] of pattern.segments.entries()) {
    const segment = segments[at] ?? '';
    if (wanted.startsWith('{')) found.set(wanted.slice(1, -1), segment);
    else if (wanted !== segment) return undefined;
  }
  return found;
}

function readFields(pattern: Pattern, texts: ReadonlyMap<string, string>): BlockRequest {
  const request: Record<string, string | number | boolean> = { kind: pattern.kind };
  for (const [name, field] of pattern.fields) {
    const given = texts.get(name);
    if (given === undefined && field.optional) continue;
    const value = given === undefined ? undefined : field.parse(given);
    if (value === undefined) {
      const got = given === undefined ? 'it is missing' : `got ${JSON.stringify(given.slice(0, 100))}`;
      throw new SluiceError('INVALID_ARGUMENT', `${name} of ${pattern.path} must be ${field.wanted}: ${got}`);
    }
    request[name] = value;
  }
  for (const name of texts.keys()) {
    if (!pattern.fields.has(name))
      throw new SluiceError('INVALID_ARGUMENT', `${pattern.method} ${pattern.path} has no field ${name}: leave it out`);
  }
  if (pattern.kind === 'readBlock' && (request['mount'] === undefined) !== (request['path'] === undefined))
    throw new SluiceError('INVALID_ARGUMENT', `mount and path of ${pattern.path} must be given together`);
  // The table's type says that its fields are those of the kind.
  return request as unknown as BlockRequest;
}

/**
 * The request that a method and target stand for. @throws INVALID_ARGUMENT for a missing, unknown, repeated or bad
 * field, NOT_FOUND for an unknown path, UNSUPPORTED for a known path with another method.
 */
export function parseBlockRequest(method: string, target: string): BlockRequest {
  const [path = '', search = ''] = splitOnce(target, '?');
  let segments: readonly string[];
  try {
    segments = path.split('/').map(decodeURIComponent);
  } catch (thrown) {
    throw new SluiceError('INVALID_ARGUMENT', `Path ${path.slice(0, 200)} is badly encoded`, { cause: thrown });
  }
  let known = false;
  for (const pattern of PATTERNS) {
    const texts = matchPath(pattern, segments);
    if (texts === undefined) continue;
    known = true;
    if (pattern.method !== method) continue;
    for (const [name, value] of new URLSearchParams(search)) {
      if (texts.has(name)) throw new SluiceError('INVALID_ARGUMENT', `${name} of ${pattern.path} is given twice`);
      texts.set(name, value);
    }
    return readFields(pattern, texts);
  }
  if (known) throw new SluiceError('UNSUPPORTED', `${path.slice(0, 200)} does not know the method ${method}`);
  throw new SluiceError('NOT_FOUND', `Workers have no service at ${method} ${path.slice(0, 200)}`);
}

function splitOnce(text: string, separator: string): readonly [string, string] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** Version of pages that belong to an upload that is not complete yet. */
export function stagedVersion(uploadId: string): string {
  return `w:${uploadId}`;
}

function readJson(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (thrown) {
    throw new SluiceError('UNAVAILABLE', `A worker replied ${text.slice(0, 100)}, which is no JSON`, { cause: thrown });
  }
  throw new SluiceError('UNAVAILABLE', `A worker replied ${text.slice(0, 100)}, which is no JSON object`);
}

/**
 * Checks that `value` has a property of the right type for each of `shape`'s, so that a stranger's reply is never
 * believed.
 */
function checked(value: Readonly<Record<string, unknown>>, shape: Readonly<Record<string, 'string' | 'number'>>): void {
  for (const [name, type] of Object.entries(shape)) {
    if (typeof value[name] !== type)
      throw new SluiceError('UNAVAILABLE', `A worker's reply has no ${name}: is the address that of a worker?`);
  }
}

/** Body of the reply to `openUpload`. @throws UNAVAILABLE when it is none. */
export function parseUploadOpened(text: string): UploadOpened {
  const value = readJson(text);
  checked(value, { uploadId: 'string', stagedVersion: 'string' });
  return value as unknown as UploadOpened;
}

/** Body of the reply to `completeUpload`. @throws UNAVAILABLE when it is none. */
export function parseUfsFact(text: string): UfsFact {
  const value = readJson(text);
  checked(value, { name: 'string', kind: 'string', lengthBytes: 'number', version: 'string', modifiedMs: 'number' });
  return value as unknown as UfsFact;
}
