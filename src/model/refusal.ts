import type { ErrorCode, ErrorDetails, Refusal } from './errors.ts';

/** Makes a refusal. The message names the thing, the limit and the way out. */
export function refuse(code: ErrorCode, message: string, details?: ErrorDetails): Refusal {
  return details === undefined ? { code, message } : { code, message, details };
}

/** Tells a refusal from what was asked for; no value of the model has both a code and a message. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'code' in value && 'message' in value;
}
