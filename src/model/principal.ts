/** Who asks: the name and groups that permission checks see. */
export interface Principal {
  readonly user: string;
  readonly groups: readonly string[];
}

/**
 * A principal whose special rights are resolved. Configuration may differ between masters, so the leader (and whoever
 * serves a read) decides who is a superuser, and `apply` only obeys.
 */
export interface Caller extends Principal {
  /** Passes every permission check; may change owners, mount and unmount. */
  readonly superuser: boolean;
}
