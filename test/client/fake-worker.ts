import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { crc32 } from 'node:zlib';
import { ERROR_TABLE, SluiceError } from '../../src/model/errors.ts';
import type { WorkerStatus } from '../../src/model/worker.ts';
import { formatErrorBody } from '../../src/wire/block-errors.ts';
import { BLOCK_HEADERS, type BlockRequest, parseBlockRequest, stagedVersion } from '../../src/wire/block-protocol.ts';
import { parseRangeHeader } from '../../src/wire/block-range.ts';

/** A file of the UFS that all fake workers share. */
interface FakeUfsFile {
  readonly bytes: Buffer;
  readonly version: string;
}

export type FakeUfs = Map<string, FakeUfsFile>;

interface Upload {
  readonly fileId: number;
  readonly path: string;
  readonly blockSize: number;
  readonly pieces: Buffer[];
  position: number;
}

/** Decides what becomes of a request: nothing (serve it), an error, or `break` (the connection breaks). */
export type Fault = (request: BlockRequest) => SluiceError | 'break' | 'break-after' | undefined;

/** A worker in memory: the block protocol over real HTTP, with faults to order. */
export class FakeWorker {
  readonly requests: BlockRequest[] = [];
  /** `fileId/block/version` → bytes of the block as far as they are there. */
  readonly blocks = new Map<string, { bytes: Buffer; protected: boolean }>();
  readonly uploads = new Map<string, Upload>();
  fault: Fault = () => undefined;
  sockets = 0;
  readonly id: string;
  readonly #ufs: FakeUfs;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #uploadCount = 0;
  #address = '';

  constructor(id: string, ufs: FakeUfs) {
    this.id = id;
    this.#ufs = ufs;
    this.#server = createServer((request, response) => void this.#serve(request, response));
    this.#server.on('connection', (socket) => {
      this.sockets += 1;
      this.#open.add(socket);
      socket.on('close', () => this.#open.delete(socket));
    });
  }

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.#address = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  get address(): string {
    return this.#address;
  }

  status(state: 'live' | 'lost' = 'live'): WorkerStatus {
    return {
      id: this.id,
      address: this.#address,
      host: 'localhost',
      capacityBytes: 2 ** 30,
      state,
      lastHeardMs: 5,
      usedBytes: 0,
      pageCount: 0,
      registeredMs: 1,
    };
  }

  /** Kinds of the requests that came. */
  get kinds(): string[] {
    return this.requests.map((request) => request.kind);
  }

  async stop(): Promise<void> {
    for (const socket of this.#open) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const request = parseBlockRequest(message.method ?? '', message.url ?? '');
      const pieces: Buffer[] = [];
      for await (const piece of message) pieces.push(piece as Buffer);
      const body = Buffer.concat(pieces);
      const wanted = message.headers[BLOCK_HEADERS.crc32];
      if (wanted !== undefined && Number.parseInt(String(wanted), 16) !== crc32(body))
        throw new SluiceError('CORRUPT', 'The body has another checksum');
      this.requests.push(request);
      const fault = this.fault(request);
      if (fault === 'break') return void message.socket.destroy();
      if (fault instanceof SluiceError) throw fault;
      const reply = this.#answer(request, body, message.headers.range);
      if (fault === 'break-after') return void message.socket.destroy();
      response.writeHead(200, { 'content-length': reply.length });
      response.end(reply);
    } catch (thrown) {
      if (message.socket.destroyed) return;
      const error = SluiceError.from(thrown);
      const body = formatErrorBody(error);
      response.writeHead(ERROR_TABLE[error.code].http, { 'content-length': Buffer.byteLength(body) });
      response.end(body);
    }
  }

  #answer(request: BlockRequest, body: Buffer, range: string | undefined): Buffer {
    switch (request.kind) {
      case 'readBlock':
        return this.#read(request, range);
      case 'writeBlock': {
        this.#keep(request.fileId, request.block, request.version, request.offset, body, request.protect);
        return Buffer.alloc(0);
      }
      case 'openUpload': {
        const uploadId = `${this.id}-${++this.#uploadCount}`;
        const { fileId, path, blockSize } = request;
        this.uploads.set(uploadId, { fileId, path, blockSize, pieces: [], position: 0 });
        if (body.length > 0) this.#append(uploadId, 0, 0, request.cache ?? false, body);
        return Buffer.from(JSON.stringify({ uploadId, stagedVersion: stagedVersion(uploadId) }));
      }
      case 'appendUpload': {
        const { uploadId, block, offset, cache } = request;
        this.#append(uploadId, block, offset, cache, body);
        return Buffer.alloc(0);
      }
      case 'completeUpload': {
        const upload = this.#upload(request.uploadId);
        if (upload.position !== request.length) throw new SluiceError('INVALID_ARGUMENT', 'another length');
        const version = `etag-${upload.position}-${this.#ufs.size}`;
        this.#ufs.set(upload.path, { bytes: Buffer.concat(upload.pieces), version });
        this.#adopt(upload.fileId, stagedVersion(request.uploadId), version);
        const fact = { name: upload.path, kind: 'file', lengthBytes: upload.position, version, modifiedMs: 1234 };
        return Buffer.from(JSON.stringify(fact));
      }
      case 'abortUpload':
        this.uploads.delete(request.uploadId);
        for (const key of this.blocks.keys())
          if (split(key)[2] === stagedVersion(request.uploadId)) this.blocks.delete(key);
        return Buffer.alloc(0);
      case 'adoptContent':
        this.#adopt(request.fileId, request.from, request.to);
        return Buffer.alloc(0);
      case 'dropContent':
        for (const key of this.blocks.keys()) {
          const [fileId, , version] = split(key);
          if (fileId === String(request.fileId) && (request.version ?? version) === version) this.blocks.delete(key);
        }
        return Buffer.alloc(0);
      default:
        throw new SluiceError('UNSUPPORTED', request.kind);
    }
  }

  #append(uploadId: string, block: number, offset: number, cache: boolean, body: Buffer): void {
    const upload = this.#upload(uploadId);
    const at = block * upload.blockSize + offset;
    if (at !== upload.position)
      throw new SluiceError('INVALID_ARGUMENT', `Append at ${at}, not ${upload.position}`, {
        details: { position: upload.position },
      });
    upload.pieces.push(body);
    upload.position += body.length;
    if (cache) this.#keep(upload.fileId, block, stagedVersion(uploadId), offset, body, false);
  }

  #upload(uploadId: string): Upload {
    const upload = this.uploads.get(uploadId);
    if (upload === undefined) throw new SluiceError('NOT_FOUND', `No upload ${uploadId}`);
    return upload;
  }

  #read(request: Extract<BlockRequest, { kind: 'readBlock' }>, range: string | undefined): Buffer {
    const part = parseRangeHeader(range ?? 'bytes=0-', request.blockLength);
    if (part === undefined) throw new SluiceError('INVALID_ARGUMENT', 'no such range');
    const held = this.blocks.get(`${request.fileId}/${request.block}/${request.version}`)?.bytes;
    if (held !== undefined && held.length >= part.end) return held.subarray(part.start, part.end);
    if (request.path === undefined) throw new SluiceError('NOT_FOUND', `Block ${request.block} is not here`);
    const file = this.#ufs.get(request.path);
    if (file === undefined || file.version !== request.version) throw new SluiceError('STALE', 'another version');
    return file.bytes.subarray(request.offsetInFile + part.start, request.offsetInFile + part.end);
  }

  #keep(fileId: number, block: number, version: string, offset: number, bytes: Buffer, protect: boolean): void {
    const key = `${fileId}/${block}/${version}`;
    const before = this.blocks.get(key)?.bytes ?? Buffer.alloc(0);
    this.blocks.set(key, { bytes: Buffer.concat([before.subarray(0, offset), bytes]), protected: protect });
  }

  #adopt(fileId: number, from: string, to: string): void {
    for (const [key, value] of [...this.blocks]) {
      const [file, block, version] = split(key);
      if (file !== String(fileId) || version !== from) continue;
      this.blocks.delete(key);
      this.blocks.set(`${file}/${block}/${to}`, value);
    }
  }
}

function split(key: string): [string, string, string] {
  const [file = '', block = '', ...version] = key.split('/');
  return [file, block, version.join('/')];
}
