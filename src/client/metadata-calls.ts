import type { OperationName, Operations } from '../model/operations.ts';

export interface CallOptions {
  /** Gives the call up. */
  readonly signal?: AbortSignal;
  /** Tries, elections and redirects included. */
  readonly timeoutMs?: number;
}

/** How the client reaches the masters. The channel of the wire is one; tests have another. */
export interface MetadataCalls {
  /** @throws SluiceError as the masters refuse, UNAVAILABLE or TIMED_OUT when none could be reached in time. */
  call<N extends OperationName>(
    name: N,
    request: Operations[N]['request'],
    options?: CallOptions,
  ): Promise<Operations[N]['reply']>;
  close(): Promise<void>;
}
