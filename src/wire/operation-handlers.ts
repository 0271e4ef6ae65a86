import type { OperationName, Operations, RequestId } from '../model/operations.ts';
import type { Principal } from '../model/principal.ts';

/** Who asks and how; travels beside every operation. */
export interface OperationContext {
  readonly principal: Principal;
  /** Absent for reads, and for callers that do not retry. */
  readonly requestId?: RequestId;
  /** A master that does not lead may answer; false when absent. */
  readonly anyMaster?: boolean;
  /** Aborted when the caller gave up or its deadline passed. */
  readonly signal: AbortSignal;
}

export type OperationHandlers = {
  readonly [N in OperationName]: (
    request: Operations[N]['request'],
    context: OperationContext,
  ) => Promise<Operations[N]['reply']>;
};
