import type { Role } from '../raft/effect.ts';
import type { NodeId, Term } from '../raft/position.ts';
import type { Leadership } from './replicated-state.ts';
import type { StateListeners } from './state-listeners.ts';

/** Who leads, as the core says, and whether this master serves; tells the listeners when that changes. */
export class JournalLeadership {
  readonly #listeners: StateListeners;
  #role: Role = 'follower';
  #term: Term;
  #leader: NodeId | undefined;
  /** Everything that was committed before this master's term is applied. */
  #ready = false;
  /** Who was asked to take over. */
  #handingTo: NodeId | undefined;

  constructor(term: Term, listeners: StateListeners) {
    this.#term = term;
    this.#listeners = listeners;
  }

  get role(): Role {
    return this.#role;
  }

  get leader(): NodeId | undefined {
    return this.#leader;
  }

  /** Who is to be asked: for others, a leader that hands over leads no longer. */
  get now(): Leadership {
    const leading = this.#ready && this.#handingTo === undefined;
    return { leading, term: this.#term, leader: this.#handingTo ?? this.#leader };
  }

  /** Whether this master leads in this term, and not in another one. */
  leads(term: Term): boolean {
    return this.#role === 'leader' && this.#term === term;
  }

  change(role: Role, term: Term, leader: NodeId | undefined): void {
    this.#tell(() => {
      this.#role = role;
      this.#term = term;
      this.#leader = leader;
      this.#handingTo = undefined;
      if (role !== 'leader') this.#ready = false;
    });
  }

  /** The first entry of this leadership is applied. */
  begin(): void {
    this.#tell(() => {
      this.#ready = true;
    });
  }

  /** `to` was asked to take over; undefined: it did not, and this master leads on. */
  handOver(to: NodeId | undefined): void {
    this.#tell(() => {
      this.#handingTo = to;
    });
  }

  /** This master serves nobody any more. */
  end(): void {
    this.#tell(() => {
      this.#ready = false;
    });
  }

  #tell(change: () => void): void {
    const before = this.now;
    change();
    this.#listeners.leadership(before, this.now);
  }
}
