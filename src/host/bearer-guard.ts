import { createHash, timingSafeEqual } from 'node:crypto';
import { SluiceError } from '../model/errors.ts';

/** Knows the cluster's shared token and compares without telling, by its time, how much of a guess was right. */
export class BearerGuard {
  readonly #wanted: Buffer | undefined;

  /** @param token undefined or empty: everybody may come in. */
  constructor(token: string | undefined) {
    this.#wanted = token === undefined || token === '' ? undefined : digest(`Bearer ${token}`);
  }

  /** Whether no token is asked for. */
  get open(): boolean {
    return this.#wanted === undefined;
  }

  /** @param authorization The header `authorization` of the request. @throws SluiceError UNAUTHENTICATED */
  check(authorization: string | undefined): void {
    if (this.#wanted === undefined) return;
    if (authorization === undefined)
      throw new SluiceError('UNAUTHENTICATED', 'This cluster wants a token: set security.token to that of the cluster');
    if (!timingSafeEqual(digest(authorization), this.#wanted))
      throw new SluiceError('UNAUTHENTICATED', 'The token is not the one of this cluster: check security.token');
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
