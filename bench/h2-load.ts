import { connect, type Socket } from 'node:net';

/*
 * The least that a caller of one unary gRPC method can cost: HTTP/2 frames (RFC 9113) with a header block that never
 * changes (RFC 7541, nothing indexed), written and counted by hand. A gRPC library for Node takes 140 us of CPU for a
 * call, as much as half of what all members of an etcd cluster take; this takes a few.
 */

const FRAME_HEADER = 9;
const DATA = 0;
const HEADERS = 1;
const RESET = 3;
const SETTINGS = 4;
const PING = 6;
const GO_AWAY = 7;
const WINDOW_UPDATE = 8;
const END_STREAM = 1;
const ACK = 1;
const END_HEADERS = 4;
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
/** What a peer may send before we say that it may send more. */
const WINDOW = 2 ** 30;
const INITIAL_WINDOW = 65_535;

function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream, 5);
  bytes.set(payload, FRAME_HEADER);
  return bytes;
}

function literal(prefix: readonly number[], value: string): Buffer {
  return Buffer.concat([Buffer.from([...prefix, value.length]), Buffer.from(value)]);
}

/** A call's headers: method and scheme are in the static table, the names of the others too, but for `te`. */
function headerBlock(path: string, authority: string): Buffer {
  return Buffer.concat([
    Buffer.from([0x83, 0x86]),
    literal([0x04], path),
    literal([0x01], authority),
    literal([0x0f, 0x10], 'application/grpc'),
    Buffer.concat([literal([0x00], 'te'), literal([], 'trailers')]),
  ]);
}

/** What waits for the answer of a call. */
type Answered = (message: Buffer) => void;

/** One connection, many calls at a time. Any error of the peer ends it and is told to `failed`. */
export class H2Caller {
  readonly #socket: Socket;
  readonly #headers: Buffer;
  readonly #failed: (error: Error) => void;
  readonly #waiting = new Map<number, { readonly answered: Answered; message: Buffer | undefined }>();
  #next = 1;
  #received: Buffer = Buffer.alloc(0);
  #out: Buffer[] = [];
  /** Calls that the peer's flow control does not let out yet. */
  #blocked: (() => void)[] = [];
  #credit = INITIAL_WINDOW;
  #spent = 0;

  private constructor(socket: Socket, path: string, authority: string, failed: (error: Error) => void) {
    this.#socket = socket;
    this.#headers = headerBlock(path, authority);
    this.#failed = failed;
    socket.setNoDelay(true);
    socket.on('data', (bytes) => this.#receive(bytes));
    socket.on('error', failed);
    socket.on('close', () => {
      if (this.#waiting.size > 0) failed(new Error('The connection was closed'));
    });
    const window = Buffer.alloc(4);
    window.writeUInt32BE(WINDOW - INITIAL_WINDOW, 0);
    socket.write(
      Buffer.concat([
        Buffer.from(PREFACE),
        frame(SETTINGS, 0, 0, new Uint8Array()),
        frame(WINDOW_UPDATE, 0, 0, window),
      ]),
    );
  }

  /** @param path Such as `/etcdserverpb.KV/Put` */
  static open(host: string, port: number, path: string, failed: (error: Error) => void): Promise<H2Caller> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, host);
      socket.once('error', reject);
      socket.once('connect', () => resolve(new H2Caller(socket, path, `${host}:${port}`, failed)));
    });
  }

  /** Calls; leaves with the next `flush`. */
  call(request: Uint8Array, answered: Answered): void {
    const length = 5 + request.length;
    if (this.#credit < length) {
      this.#blocked.push(() => this.call(request, answered));
      return;
    }
    this.#credit -= length;
    const stream = this.#next;
    this.#next += 2;
    this.#waiting.set(stream, { answered, message: undefined });
    const message = Buffer.alloc(length);
    message.writeUInt32BE(request.length, 1);
    message.set(request, 5);
    this.#out.push(frame(HEADERS, END_HEADERS, stream, this.#headers), frame(DATA, END_STREAM, stream, message));
  }

  flush(): void {
    if (this.#out.length === 0) return;
    this.#socket.write(Buffer.concat(this.#out));
    this.#out = [];
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(bytes: Buffer): void {
    const all = this.#received.length === 0 ? bytes : Buffer.concat([this.#received, bytes]);
    let at = 0;
    while (at + FRAME_HEADER <= all.length) {
      const length = all.readUIntBE(at, 3);
      const end = at + FRAME_HEADER + length;
      if (end > all.length) break;
      const [type, flags] = [all.readUInt8(at + 3), all.readUInt8(at + 4)];
      this.#frame(type, flags, all.readUInt32BE(at + 5), all.subarray(at + FRAME_HEADER, end));
      at = end;
    }
    this.#received = all.subarray(at);
    this.flush();
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === SETTINGS && (flags & ACK) === 0) this.#out.push(frame(SETTINGS, ACK, 0, new Uint8Array()));
    else if (type === PING && (flags & ACK) === 0) this.#out.push(frame(PING, ACK, 0, payload));
    else if (type === WINDOW_UPDATE && stream === 0) this.#grant(payload.readUInt32BE(0));
    else if (type === GO_AWAY)
      this.#failed(new Error(`The peer ends the connection: ${payload.toString('latin1', 8)}`));
    else if (type === RESET && this.#waiting.has(stream)) this.#failed(new Error('The peer has reset a call'));
    else if (type === DATA || type === HEADERS) this.#answer(type, flags, stream, payload);
  }

  #grant(credit: number): void {
    this.#credit += credit;
    for (const call of this.#blocked.splice(0)) call();
  }

  /** A call is answered by headers, a message and trailers; one that failed has no message. */
  #answer(type: number, flags: number, stream: number, payload: Buffer): void {
    const call = this.#waiting.get(stream);
    if (call === undefined) return;
    if (type === DATA) {
      call.message = call.message === undefined ? payload.subarray(5) : Buffer.concat([call.message, payload]);
      this.#spend(payload.length);
    }
    if ((flags & END_STREAM) === 0) return;
    this.#waiting.delete(stream);
    if (call.message === undefined) this.#failed(new Error('A call was answered by an error'));
    else call.answered(call.message);
  }

  #spend(bytes: number): void {
    this.#spent += bytes;
    if (this.#spent < WINDOW / 2) return;
    const window = Buffer.alloc(4);
    window.writeUInt32BE(this.#spent, 0);
    this.#out.push(frame(WINDOW_UPDATE, 0, 0, window));
    this.#spent = 0;
  }
}
