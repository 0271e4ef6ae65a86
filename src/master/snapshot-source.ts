import { randomUUID } from 'node:crypto';
import type { CancelTimer, Clock, Timers } from '../base/clock.ts';
import { SluiceError } from '../model/errors.ts';
import type { LogIndex } from '../raft/position.ts';
import type { SnapshotMeta } from '../raft/snapshot-meta.ts';
import { chainSnapshot, encodeSnapshotRows, snapshotRowBytes } from '../wire/codec/snapshot-rows.ts';
import type {
  SnapshotChunk,
  SnapshotHeader,
  SnapshotOrder,
  SnapshotReader,
  SnapshotRow,
} from '../wire/snapshot-reader.ts';
import type { SnapshotMetrics } from './snapshot-metrics.ts';
import type { StateView } from './state-view.ts';

export interface SnapshotSourceParts {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly metrics: SnapshotMetrics;
  /** All rows as they are now. @throws SluiceError UNAVAILABLE */
  view(): StateView;
  /** What belongs to a view made in the same turn. */
  describe(view: StateView): { readonly meta: SnapshotMeta; readonly clusterId: string; readonly expectedRows: number };
  /** Resolves when the state has everything that was acknowledged before. */
  barrier(): Promise<void>;
  /** Keeps the log behind `index`. @returns lets it go */
  pin(index: LogIndex): () => void;
}

/** Each holds back what LevelDB could forget, and reads beside the work of the master. */
const OPEN_MAX = 4;
const IDLE_MS = 60_000;
/** However busily it is read: by then the disk may be full of what it holds back. */
const AGE_MAX_MS = 6 * 3600_000;
/** Who read a snapshot to its end has to install it before it needs the log behind it. */
const GRACE_MS = 5 * 60_000;
/** About 2,000 rows: to encode them takes a millisecond or two, and ticks come in between. */
const CHUNK_BYTES = 256 * 1024;

interface Session {
  readonly header: SnapshotHeader;
  readonly view: StateView;
  readonly bornMs: number;
  /** The chain behind each key that ended a chunk. */
  readonly chains: Map<string, number>;
  cursor: Cursor | undefined;
  /** Calls for one snapshot come one after the other. */
  busy: Promise<unknown>;
  cancelIdle: CancelTimer;
  finished: boolean;
  unpin(): void;
}

/** Reads rows behind a key. */
interface Cursor {
  after: string;
  readonly rows: AsyncIterator<readonly SnapshotRow[]>;
  /** Read, and not part of a chunk yet. */
  rest: readonly SnapshotRow[];
}

/** Makes snapshots of this master's state, and gives them out in chunks while the state goes on changing. */
export class SnapshotSource implements SnapshotReader {
  readonly #parts: SnapshotSourceParts;
  readonly #sessions = new Map<string, Session>();
  readonly #graces = new Set<CancelTimer>();
  #opening = 0;
  #closed = false;

  constructor(parts: SnapshotSourceParts) {
    this.#parts = parts;
  }

  get openCount(): number {
    return this.#sessions.size;
  }

  get ageSeconds(): number {
    const born = Math.min(...[...this.#sessions.values()].map((session) => session.bornMs));
    return Number.isFinite(born) ? (this.#parts.clock.monotonicMs() - born) / 1000 : 0;
  }

  async open({ resume = '', latest = false }: SnapshotOrder): Promise<SnapshotHeader> {
    const known = this.#sessions.get(resume);
    if (known !== undefined) {
      this.#touch(known);
      return known.header;
    }
    if (this.#sessions.size + this.#opening >= OPEN_MAX)
      throw new SluiceError('EXHAUSTED', `${OPEN_MAX} snapshots are being read from this master: try again later`);
    this.#opening += 1;
    try {
      if (latest) await this.#parts.barrier();
    } finally {
      this.#opening -= 1;
    }
    // Whoever wants the latest keeps it: nobody goes on from there with the log.
    return this.#make(!latest);
  }

  read(id: string, after: string): Promise<SnapshotChunk> {
    const session = this.#sessions.get(id);
    if (session === undefined) return Promise.reject(gone(id));
    this.#touch(session);
    const chunk = session.busy.then(() => this.#read(session, after));
    session.busy = chunk.catch(() => undefined);
    return chunk;
  }

  async close(id: string): Promise<void> {
    const session = this.#sessions.get(id);
    if (session !== undefined) await this.#end(session);
  }

  /** Ends all snapshots: their readers have to begin anew. */
  async drop(): Promise<void> {
    await Promise.all([...this.#sessions.values()].map((session) => this.#end(session)));
  }

  /** Nothing is opened any more. */
  async stop(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#graces) cancel();
    await this.drop();
  }

  #make(pinned: boolean): SnapshotHeader {
    if (this.#closed) throw new SluiceError('UNAVAILABLE', 'This master is closing: ask another one');
    const { clock, pin } = this.#parts;
    const view = this.#parts.view();
    const header: SnapshotHeader = { id: randomUUID(), ...this.#parts.describe(view) };
    const session: Session = {
      header,
      view,
      bornMs: clock.monotonicMs(),
      chains: new Map([['', 0]]),
      cursor: undefined,
      busy: Promise.resolve(),
      cancelIdle: () => undefined,
      finished: false,
      unpin: pinned ? pin(view.position.index) : () => undefined,
    };
    this.#sessions.set(header.id, session);
    this.#touch(session);
    return header;
  }

  #touch(session: Session): void {
    session.cancelIdle();
    const left = session.bornMs + AGE_MAX_MS - this.#parts.clock.monotonicMs();
    session.cancelIdle = this.#parts.timers.after(Math.max(0, Math.min(IDLE_MS, left)), () => void this.#end(session));
  }

  async #end(session: Session): Promise<void> {
    if (!this.#sessions.delete(session.header.id)) return;
    session.cancelIdle();
    if (session.finished && !this.#closed) this.#releaseLater(session);
    else session.unpin();
    await session.busy;
    await session.cursor?.rows.return?.();
    await session.view.close();
  }

  #releaseLater(session: Session): void {
    const cancel = this.#parts.timers.after(GRACE_MS, () => {
      this.#graces.delete(cancel);
      session.unpin();
    });
    this.#graces.add(cancel);
  }

  async #read(session: Session, after: string): Promise<SnapshotChunk> {
    const before = session.chains.get(after);
    if (before === undefined || !this.#sessions.has(session.header.id)) throw gone(session.header.id);
    const cursor = await this.#cursorAt(session, after);
    session.cursor = undefined;
    const { rows, last } = await take(cursor);
    const end = rows.at(-1)?.[0] ?? after;
    const bytes = encodeSnapshotRows(rows);
    const chain = chainSnapshot(bytes, before);
    session.chains.set(end, chain);
    cursor.after = end;
    session.cursor = cursor;
    session.finished ||= last;
    this.#parts.metrics.sent(bytes.length);
    return { rows: bytes, chain, last };
  }

  /** Goes on where the last chunk ended, or begins anew behind the key. */
  async #cursorAt(session: Session, after: string): Promise<Cursor> {
    if (session.cursor?.after === after) return session.cursor;
    await session.cursor?.rows.return?.();
    return { after, rows: session.view.rows(after)[Symbol.asyncIterator](), rest: [] };
  }
}

/** The rows of one chunk. The event loop gets its turns while they are read. */
async function take(cursor: Cursor): Promise<{ readonly rows: readonly SnapshotRow[]; readonly last: boolean }> {
  const rows: SnapshotRow[] = [];
  let bytes = 0;
  for (;;) {
    const { rest } = cursor;
    for (let i = 0; i < rest.length; i += 1) {
      const row = rest[i] as SnapshotRow;
      if (row[0] === cursor.after) continue;
      rows.push(row);
      bytes += snapshotRowBytes(row);
      if (bytes < CHUNK_BYTES) continue;
      cursor.rest = rest.slice(i + 1);
      return { rows, last: false };
    }
    const next = await cursor.rows.next();
    if (next.done === true) return { rows, last: true };
    cursor.rest = next.value;
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

function gone(id: string): SluiceError {
  return new SluiceError('NOT_FOUND', `Snapshot ${id} is not held open any more: open another one and begin anew`);
}
