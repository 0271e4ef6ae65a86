import type { RaftLimits } from './options.ts';
import type { LogIndex } from './position.ts';
import { Window } from './window.ts';

/**
 * `probe`: where the logs meet is not known, or sizes are not: one append at a time. `replicate`: pipelined.
 * `snapshot`: the peer needs entries that this log no longer has; it is offered a snapshot.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** One peer as the leader sees it. Always `match < next`; `match` never falls within a leadership. */
export class Progress {
  readonly window: Window;
  #state: ProgressState = 'probe';
  #match: LogIndex = 0;
  #next: LogIndex;
  /**
   * The peer is no member any more since the entry `at`; once that is committed it is told so until tick `deadline`,
   * and then forgotten.
   */
  leaving: { readonly at: LogIndex; deadline: number } | undefined;
  /** In `probe`: one append is out and unanswered. */
  waiting = false;
  /** The tick in which something of this term came from the peer. */
  lastHeard: number;
  /** The tick in which the peer last acknowledged something, or was asked where it stands. */
  lastProgress: number;
  /** The highest read position that the peer has echoed. */
  readPosition = 0;
  /** By this node's clock: until then the peer helps nobody to replace this leader. */
  promisedUntilMs = Number.NEGATIVE_INFINITY;
  /** The highest commit index that was sent so that the peer can take it. */
  commitTold: LogIndex = 0;
  /** A heartbeat must reach the peer with this turn's messages. */
  heartbeatDue = false;
  /** A new read position must reach the peer with this turn's messages, whatever carries it. */
  readDue = false;
  /** The peer must be asked, by an empty append, whether it holds everything that was sent. */
  askDue = false;

  constructor(next: LogIndex, now: number, limits: RaftLimits) {
    this.#next = next;
    this.lastHeard = now;
    this.lastProgress = now;
    this.window = new Window(limits.maxInFlightFrames, limits.maxInFlightBytes);
  }

  get state(): ProgressState {
    return this.#state;
  }

  get match(): LogIndex {
    return this.#match;
  }

  /** The first index that was not sent yet. */
  get next(): LogIndex {
    return this.#next;
  }

  /** Records an acknowledgement, in whatever order they come. */
  acknowledge(match: LogIndex, now: number): void {
    if (match > this.#match) {
      this.#match = match;
      this.lastProgress = now;
    }
    if (this.#state === 'replicate') {
      this.window.freeTo(match);
      this.#next = Math.max(this.#next, this.#match + 1);
    } else {
      this.#state = 'replicate';
      this.#next = this.#match + 1;
      this.waiting = false;
    }
  }

  sent(last: LogIndex, bytes: number): void {
    this.window.add(last, bytes);
    this.#next = last + 1;
  }

  /** Back to one append at a time, from `next` on (but never at or below what is known to match). */
  probe(next: LogIndex): void {
    this.#state = 'probe';
    this.#next = Math.max(next, this.#match + 1);
    this.waiting = false;
    this.askDue = false;
    this.window.clear();
  }

  awaitSnapshot(): void {
    this.probe(this.#match + 1);
    this.#state = 'snapshot';
  }
}
