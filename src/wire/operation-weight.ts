import type { OperationName } from '../model/operations.ts';

/**
 * What a client lets run at a time on one session. Below the server's bound, so that the server never stops reading a
 * client that keeps it, and a ping always gets through.
 */
export const CLIENT_WEIGHT_MAX = 1024;

/** What a server lets run at a time for one session. */
export const SERVER_WEIGHT_MAX = 2 * CLIENT_WEIGHT_MAX;

/**
 * What a client lets run and what it has given up and the server still works on, together: below what the server
 * begins, by the largest share of one operation.
 */
export const CLIENT_TOTAL_WEIGHT_MAX = SERVER_WEIGHT_MAX - 32;

/** The share of an operation: listings answer with up to megabytes, so fewer of them run at a time. */
export function operationWeight(name: OperationName): number {
  return name === 'listStatus' ? 32 : 1;
}
