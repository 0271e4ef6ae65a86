import { formatBytes } from '../base/units.ts';
import { SluiceError } from '../model/errors.ts';
import type { OperationName } from '../model/operations.ts';

const CALLS_MAX = 16_384;
const CALL_BYTES_MAX = 64 * 2 ** 20;
const REQUEST_BYTES_MAX = 2 * 2 ** 20;

/**
 * Lets one more request wait for the masters beside those that do. @throws SluiceError INVALID_ARGUMENT, EXHAUSTED
 */
export function checkRoom(
  name: OperationName,
  lengthBytes: number,
  waiting: { readonly calls: number; readonly bytes: number },
): void {
  if (lengthBytes > REQUEST_BYTES_MAX)
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `A request may have ${formatBytes(REQUEST_BYTES_MAX)}, this ${name} has ${formatBytes(lengthBytes)}`,
    );
  if (waiting.calls < CALLS_MAX && waiting.bytes + lengthBytes <= CALL_BYTES_MAX) return;
  throw new SluiceError(
    'EXHAUSTED',
    `${waiting.calls} operations (${formatBytes(waiting.bytes)}) wait for the masters already: await some first`,
  );
}
