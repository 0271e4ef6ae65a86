import { BlockConnection } from './block-connection.ts';

export interface ConnectionPoolOptions {
  readonly socketsPerWorker: number;
  readonly timeoutMs: number;
}

interface Waiter {
  readonly grant: (connection: BlockConnection) => void;
  readonly refuse: (error: Error) => void;
}

/** The connections to one worker. */
interface Lane {
  readonly host: string;
  readonly port: number;
  /** The one used last is last: it is taken first, so that few stay warm. */
  readonly idle: BlockConnection[];
  readonly open: Set<BlockConnection>;
  readonly waiting: Set<Waiter>;
}

/** Keeps connections to workers open, and bounds how many there are; who finds none free waits for his turn. */
export class ConnectionPool {
  readonly #options: ConnectionPoolOptions;
  /** Only addresses with an open connection or somebody waiting have a lane. */
  readonly #lanes = new Map<string, Lane>();

  constructor(options: ConnectionPoolOptions) {
    this.#options = options;
  }

  /** A connection for one exchange, to be given back after it. @throws Error when the signal is aborted first. */
  acquire(address: string, signal: AbortSignal | undefined): Promise<BlockConnection> {
    if (signal?.aborted === true) return Promise.reject(new Error('given up'));
    const lane = this.#laneOf(address);
    for (let idle = lane.idle.pop(); idle !== undefined; idle = lane.idle.pop())
      if (idle.usable) return Promise.resolve(idle);
    if (lane.open.size < this.#options.socketsPerWorker) return Promise.resolve(this.#connect(address, lane));
    return new Promise((resolve, reject) => {
      const abort = (): void => waiter.refuse(new Error('given up'));
      const ended = (): void => {
        lane.waiting.delete(waiter);
        signal?.removeEventListener('abort', abort);
      };
      const waiter: Waiter = {
        grant: (connection) => {
          ended();
          resolve(connection);
        },
        refuse: (error) => {
          ended();
          reject(error);
        },
      };
      signal?.addEventListener('abort', abort);
      lane.waiting.add(waiter);
    });
  }

  release(address: string, connection: BlockConnection): void {
    const lane = this.#lanes.get(address);
    if (lane === undefined || !connection.usable) return;
    const [next] = lane.waiting;
    if (next === undefined) lane.idle.push(connection);
    else next.grant(connection);
  }

  /** Closes all connections, also those in use. */
  close(): void {
    for (const lane of this.#lanes.values()) {
      for (const waiter of [...lane.waiting]) waiter.refuse(new Error('the client is closed'));
      for (const connection of [...lane.open]) connection.close();
    }
  }

  #laneOf(address: string): Lane {
    const known = this.#lanes.get(address);
    if (known !== undefined) return known;
    const { hostname, port } = new URL(`http://${address}`);
    const lane: Lane = {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: port === '' ? 80 : Number(port),
      idle: [],
      open: new Set(),
      waiting: new Set(),
    };
    this.#lanes.set(address, lane);
    return lane;
  }

  #connect(address: string, lane: Lane): BlockConnection {
    const { timeoutMs } = this.#options;
    const connection = new BlockConnection({ host: lane.host, port: lane.port, timeoutMs }, () => {
      lane.open.delete(connection);
      const at = lane.idle.indexOf(connection);
      if (at >= 0) lane.idle.splice(at, 1);
      const [next] = lane.waiting;
      if (next !== undefined) next.grant(this.#connect(address, lane));
      else if (lane.open.size === 0 && this.#lanes.get(address) === lane) this.#lanes.delete(address);
    });
    lane.open.add(connection);
    return connection;
  }
}
