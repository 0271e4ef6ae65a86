import { AssertionError } from '../base/assert.ts';
import type { Logger } from '../host/logger.ts';
import { SluiceError } from '../model/errors.ts';
import type { OperationName } from '../model/operations.ts';
import { OPERATION_CODECS, OPERATION_NAMES } from './codec/operation.ts';
import type { OperationContext, OperationHandlers } from './operation-handlers.ts';

/** Runs one operation from its encoded request to its encoded reply. */
export type Dispatch = (body: Uint8Array, context: OperationContext) => Promise<Uint8Array>;

function dispatchOf<N extends OperationName>(name: N, handlers: OperationHandlers, logger: Logger): Dispatch {
  const { request, reply } = OPERATION_CODECS[name];
  return async (body, context) => {
    try {
      return reply.encode(await handlers[name](request.decode(body), context));
    } catch (thrown) {
      if (!(thrown instanceof SluiceError || thrown instanceof AssertionError))
        logger.error({ err: thrown, operation: name }, 'operation failed by a defect');
      throw thrown;
    }
  };
}

/** The one table behind unary methods and sessions. */
export function dispatchTable(handlers: OperationHandlers, logger: Logger): ReadonlyMap<OperationName, Dispatch> {
  return new Map(OPERATION_NAMES.map((name) => [name, dispatchOf(name, handlers, logger)]));
}
