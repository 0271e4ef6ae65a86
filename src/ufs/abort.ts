import { SluiceError } from '../model/errors.ts';

/** @throws CANCELLED when the caller has given up. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted !== true) return;
  throw new SluiceError('CANCELLED', 'The operation was given up by its caller', { cause: signal.reason });
}
