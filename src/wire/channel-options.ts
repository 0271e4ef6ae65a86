import type { Clock, Timers } from '../base/clock.ts';
import type { Random } from '../base/random.ts';
import type { Logger } from '../host/logger.ts';
import type { Principal } from '../model/principal.ts';

export interface MetadataChannelOptions {
  /** `host:port` of every master. */
  readonly masters: readonly string[];
  /** Who asks, unless a call says otherwise. */
  readonly principal: Principal;
  readonly token?: string;
  /** `stream` carries the operations of a turn in one message; `unary` makes a call of each. */
  readonly protocol?: 'stream' | 'unary';
  /** Which masters answer reads: the leader, or any, as fresh as the leader. `leader` unless said otherwise. */
  readonly readFrom?: 'leader' | 'any';
  /** How long a call may take unless it says otherwise. */
  readonly timeoutMs?: number;
  /** How long a connection attempt may take. */
  readonly connectTimeoutMs?: number;
  /** A master that owes answers and has been silent for so long, although pinged, is given up. */
  readonly silenceMs?: number;
  /**
   * The masters are no longer those of the cluster that answered before: what was learned of that one is worthless.
   * Only streams notice.
   */
  clusterChanged?(): void;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly random: Random;
  readonly logger: Logger;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  /** Until when another master is tried, and the same request sent again, before the call fails. */
  readonly timeoutMs?: number;
  /** On whose behalf, for gateways that serve many users. */
  readonly principal?: Principal;
}
