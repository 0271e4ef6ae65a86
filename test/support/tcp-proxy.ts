import { createServer, type Server, Socket } from 'node:net';

/**
 * What becomes of the bytes of one direction. `hold`: they wait and arrive when the direction passes again, as TCP does
 * over a partition shorter than its patience. `swallow`: they are lost while the connection stays open; the connection
 * is reset when the direction passes again, because what would follow makes no sense.
 */
export type Passage = 'pass' | 'hold' | 'swallow';

export interface Flow {
  readonly passage: Passage;
  /** How much later bytes arrive. */
  readonly delayMs: number;
  readonly bytesPerSecond: number;
}

export const FREE: Flow = Object.freeze({ passage: 'pass', delayMs: 0, bytesPerSecond: Infinity });

/** `forward`: from who dialed to the target. */
export type Direction = 'forward' | 'backward';

/** Bytes of one direction of one connection that wait in the proxy before the sender is held up. */
const QUEUE_BYTES_MAX = 1024 * 1024;

/**
 * Stands between clients and a server on loopback, and does to their bytes what a network does. A connection that is
 * dialed while the link does not pass both ways is accepted by the kernel, so it hangs, and is reset when the link
 * passes again.
 */
export class TcpProxy {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #connections = new Set<Connection>();
  readonly #flows: Record<Direction, Flow> = { forward: FREE, backward: FREE };
  #cut = false;

  private constructor(target: { readonly host: string; readonly port: number }) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  /** @param target `host:port` */
  static async start(target: string): Promise<TcpProxy> {
    const colon = target.lastIndexOf(':');
    const proxy = new TcpProxy({ host: target.slice(0, colon), port: Number(target.slice(colon + 1)) });
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** Where the target is found through this proxy. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Resets all connections, and each new one at once, until `heal`. */
  cut(): void {
    this.#cut = true;
    for (const connection of [...this.#connections]) connection.reset();
  }

  setFlow(direction: Direction, flow: Partial<Flow>): void {
    this.#flows[direction] = { ...this.#flows[direction], ...flow };
    for (const connection of [...this.#connections]) connection.apply(this.#flows);
  }

  /** Everything passes again. */
  heal(): void {
    this.#cut = false;
    this.#flows.forward = FREE;
    this.#flows.backward = FREE;
    for (const connection of [...this.#connections]) connection.apply(this.#flows);
  }

  async close(): Promise<void> {
    for (const connection of [...this.#connections]) connection.reset();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #accept(socket: Socket): void {
    if (this.#cut) {
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      return;
    }
    const connection = new Connection(socket, this.#target, this.#flows, () => this.#connections.delete(connection));
    this.#connections.add(connection);
  }
}

/** One connection through the proxy: two sockets with a lane in each direction. */
class Connection {
  readonly #lanes: Readonly<Record<Direction, Lane>>;
  readonly #sockets: readonly Socket[];
  readonly #ended: () => void;
  /** Dialed through a link that did not pass. */
  readonly #stillborn: boolean;
  #over = false;

  constructor(
    socket: Socket,
    target: { readonly host: string; readonly port: number },
    flows: Readonly<Record<Direction, Flow>>,
    ended: () => void,
  ) {
    this.#ended = ended;
    this.#stillborn = Object.values(flows).some(({ passage }) => passage !== 'pass');
    const upstream = new Socket({ allowHalfOpen: true });
    this.#sockets = [socket, upstream];
    for (const each of this.#sockets) {
      each.setNoDelay(true);
      each.on('close', () => {
        if (this.#sockets.every(({ destroyed }) => destroyed)) this.reset();
      });
    }
    this.#lanes = {
      forward: new Lane(socket, upstream, flows.forward, () => this.#broke()),
      backward: new Lane(upstream, socket, flows.backward, () => this.#broke()),
    };
    if (this.#stillborn) return;
    upstream.connect(target);
  }

  apply(flows: Readonly<Record<Direction, Flow>>): void {
    const passes = Object.values(flows).every(({ passage }) => passage === 'pass');
    const senseless = this.#stillborn || Object.values(this.#lanes).some((lane) => lane.lossy);
    if (passes && senseless) {
      this.reset();
      return;
    }
    this.#lanes.forward.apply(flows.forward);
    this.#lanes.backward.apply(flows.backward);
    if (passes && Object.values(this.#lanes).some((lane) => lane.broken)) this.reset();
  }

  reset(): void {
    if (this.#over) return;
    this.#over = true;
    for (const lane of Object.values(this.#lanes)) lane.stop();
    for (const socket of this.#sockets) {
      if (socket.connecting || socket.pending) socket.destroy();
      else socket.resetAndDestroy();
    }
    this.#ended();
  }

  /** One end is gone without a word. The other hears of it unless the link keeps the news back. */
  #broke(): void {
    if (Object.values(this.#lanes).every((lane) => lane.passes)) this.reset();
  }
}

/** The bytes of one direction. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  #flow: Flow;
  #queue: { readonly bytes: Buffer | undefined; readonly dueMs: number }[] = [];
  #queued = 0;
  /** When the limit of the rate admits the next byte. */
  #freeMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #lossy = false;
  #broken = false;

  constructor(from: Socket, to: Socket, flow: Flow, broke: () => void) {
    this.#from = from;
    this.#to = to;
    this.#flow = flow;
    from.on('data', (bytes: Buffer) => this.#take(bytes));
    from.on('end', () => this.#take(undefined));
    // 'close' follows each error.
    from.on('error', () => undefined);
    from.on('close', (failed) => {
      if (!failed && from.readableEnded) return;
      this.#broken = true;
      broke();
    });
    to.on('drain', () => this.#drain());
    this.apply(flow);
  }

  get passes(): boolean {
    return this.#flow.passage === 'pass';
  }

  /** Bytes were lost. */
  get lossy(): boolean {
    return this.#lossy;
  }

  /** The sender broke the connection. */
  get broken(): boolean {
    return this.#broken;
  }

  apply(flow: Flow): void {
    this.#flow = flow;
    if (flow.passage === 'swallow' && this.#queue.length > 0) {
      this.#lossy = true;
      this.#queue = [];
      this.#queued = 0;
    }
    if (flow.passage === 'hold') this.#from.pause();
    else this.#from.resume();
    this.#drain();
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#queue = [];
  }

  /** @param bytes undefined at the end of the stream */
  #take(bytes: Buffer | undefined): void {
    const { passage, delayMs, bytesPerSecond } = this.#flow;
    if (passage === 'swallow') {
      this.#lossy = true;
      return;
    }
    const size = bytes?.length ?? 0;
    const now = performance.now();
    this.#freeMs = Math.max(now, this.#freeMs) + (size / bytesPerSecond) * 1000;
    this.#queue.push({ bytes, dueMs: this.#freeMs + delayMs });
    this.#queued += size;
    if (this.#queued > QUEUE_BYTES_MAX) this.#from.pause();
    this.#drain();
  }

  #drain(): void {
    clearTimeout(this.#timer);
    if (this.#flow.passage !== 'pass') return;
    const now = performance.now();
    for (let next = this.#queue[0]; next !== undefined && next.dueMs <= now; next = this.#queue[0]) {
      this.#queue.shift();
      this.#queued -= next.bytes?.length ?? 0;
      if (next.bytes === undefined) this.#to.end();
      else if (!this.#to.write(next.bytes)) this.#from.pause();
    }
    const next = this.#queue[0];
    if (next !== undefined) this.#timer = setTimeout(() => this.#drain(), Math.max(1, next.dueMs - now));
    if (this.#queued <= QUEUE_BYTES_MAX && !this.#to.writableNeedDrain) this.#from.resume();
  }
}
