import type { ErrorDetails } from '../model/errors.ts';
import { isErrorCode, SluiceError } from '../model/errors.ts';

/** The JSON body that carries an error; the HTTP status is the one in ERROR_TABLE. */
export function formatErrorBody(error: SluiceError): string {
  return JSON.stringify({ code: error.code, message: error.message, details: error.details });
}

function isDetails(value: unknown): value is ErrorDetails {
  return (
    typeof value === 'object' &&
    value !== null &&
    Object.values(value).every((entry) => ['string', 'number', 'boolean'].includes(typeof entry))
  );
}

/**
 * The error that a reply with an HTTP status of 300 or more carries. What is not ours (a proxy, another service at that
 * address) becomes UNAVAILABLE, so that the next worker is tried.
 */
export function parseErrorReply(status: number, body: string): SluiceError {
  try {
    const value: unknown = JSON.parse(body);
    if (typeof value === 'object' && value !== null && 'code' in value && 'message' in value) {
      const { code, message } = value;
      const details = 'details' in value && isDetails(value.details) ? value.details : {};
      if (typeof code === 'string' && isErrorCode(code) && typeof message === 'string')
        return new SluiceError(code, message, { details });
    }
  } catch (thrown) {
    return new SluiceError('UNAVAILABLE', `HTTP status ${status} without an error that can be read`, { cause: thrown });
  }
  return new SluiceError('UNAVAILABLE', `HTTP status ${status} without an error that can be read`);
}
