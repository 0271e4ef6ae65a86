import type { CancelTimer, Timers } from '../base/clock.ts';
import type { Logger } from '../host/logger.ts';
import { MAX_EXPIRED_SESSIONS } from '../model/apply-session.ts';
import { SluiceError } from '../model/errors.ts';
import type { Caller } from '../model/principal.ts';
import { whileLeading } from './leader-service.ts';
import type { ReplicatedState } from './replicated-state.ts';

export interface SessionSweeperParts {
  readonly state: ReplicatedState;
  readonly system: Caller;
  readonly timers: Timers;
  readonly log: Logger;
  /** Sessions without a command for longer than this, in log time, are forgotten. */
  readonly idleMs: number;
}

/** Sweeps in the life of an idle session; a session lives at most this part longer than it must. */
const SWEEPS_PER_LIFE = 12;

/** Forgets the sessions of clients that are gone. Log time stands still when nothing happens, and so do sessions. */
export class SessionSweeper {
  readonly #parts: SessionSweeperParts;
  readonly #stop: () => void;
  #cancel: CancelTimer | undefined;
  #sweeping: Promise<void> | undefined;
  #leading = false;

  constructor(parts: SessionSweeperParts) {
    this.#parts = parts;
    this.#stop = whileLeading(parts.state, {
      began: () => {
        this.#leading = true;
        this.#cancel = parts.timers.every(Math.ceil(parts.idleMs / SWEEPS_PER_LIFE), () => this.#start());
      },
      ended: () => {
        this.#leading = false;
        this.#cancel?.();
      },
    });
  }

  async close(): Promise<void> {
    this.#stop();
    await this.#sweeping;
  }

  #start(): void {
    this.#sweeping ??= this.#sweep()
      .catch((err: unknown) => this.#parts.log.warn({ err }, 'sweeping sessions failed, it is tried again'))
      .finally(() => {
        this.#sweeping = undefined;
      });
  }

  async #sweep(): Promise<void> {
    const { state, system, idleMs } = this.#parts;
    const counters = state.state.get('counters', '');
    if (counters === undefined) return;
    const idleSinceMs = counters.logTimeMs - idleMs;
    for (let after = ''; this.#leading; ) {
      const rows = await state.state.scan('session', { prefix: '', after, limit: MAX_EXPIRED_SESSIONS });
      const idle = rows.filter(({ row }) => row.lastSeenMs < idleSinceMs);
      if (idle.length > 0) {
        const clients = idle.map(({ row }) => row.client);
        const outcome = await state.propose({ kind: 'expireSessions', clients, idleSinceMs }, { principal: system });
        if (outcome.kind === 'refused') throw SluiceError.of(outcome.refusal);
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < MAX_EXPIRED_SESSIONS) return;
      after = last.key;
    }
  }
}
