import { createHash, timingSafeEqual } from 'node:crypto';
import { SluiceError } from '../model/errors.ts';

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Checks the `Authorization` header of requests; how long that takes tells nothing about the secret. */
export class BearerGuard {
  readonly #wanted: Buffer | undefined;

  /** @param token undefined or empty: everybody may ask. */
  constructor(token: string | undefined) {
    this.#wanted = token === undefined || token === '' ? undefined : digest(`Bearer ${token}`);
  }

  /** @throws UNAUTHENTICATED */
  check(authorization: string | undefined): void {
    if (this.#wanted === undefined) return;
    if (authorization === undefined)
      throw new SluiceError('UNAUTHENTICATED', 'This worker wants a token: set security.token to that of the cluster');
    if (!timingSafeEqual(digest(authorization), this.#wanted))
      throw new SluiceError('UNAUTHENTICATED', 'The token is not the one of this cluster: check security.token');
  }
}
