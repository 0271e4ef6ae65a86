import type { Caller, Principal } from '../model/principal.ts';

/** Who has every right: the user that runs the masters, and the members of one group. */
export interface Superusers {
  readonly user: string;
  /** Empty gives no group the right. */
  readonly group: string;
}

/** Resolves the special rights of principals; remembers them by object, because a connection has one principal. */
export class Callers {
  /** The leader itself, for what it does on nobody's behalf. */
  readonly system: Caller;
  readonly #superusers: Superusers;
  readonly #known = new WeakMap<Principal, Caller>();

  constructor(superusers: Superusers) {
    this.#superusers = superusers;
    this.system = Object.freeze({ user: superusers.user, groups: [], superuser: true });
  }

  of(principal: Principal): Caller {
    const known = this.#known.get(principal);
    if (known !== undefined) return known;
    const { user, group } = this.#superusers;
    const superuser = principal.user === user || (group !== '' && principal.groups.includes(group));
    const caller = Object.freeze({ user: principal.user, groups: principal.groups, superuser });
    this.#known.set(principal, caller);
    return caller;
  }
}
