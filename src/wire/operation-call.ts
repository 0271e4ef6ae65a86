import type { SluiceError } from '../model/errors.ts';
import type { RequestId } from '../model/operations.ts';
import type { Principal } from '../model/principal.ts';
import type { OperationContext } from './operation-handlers.ts';

/** An operation that runs. Its abort signal is made only when somebody asks for it: most operations never do. */
export class OperationCall implements OperationContext {
  readonly principal: Principal;
  readonly requestId?: RequestId;
  readonly anyMaster: boolean;
  /** Monotonic time at which the caller gives up; Infinity never. */
  readonly deadlineMs: number;
  /** Its share of what a session may have running. */
  readonly weight: number;
  #controller: AbortController | undefined;
  #reason: SluiceError | undefined;

  constructor(
    principal: Principal,
    requestId: RequestId | undefined,
    anyMaster: boolean,
    deadlineMs: number,
    weight: number,
  ) {
    this.principal = principal;
    if (requestId !== undefined) this.requestId = requestId;
    this.anyMaster = anyMaster;
    this.deadlineMs = deadlineMs;
    this.weight = weight;
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#reason !== undefined) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  /** Tells the handler that nobody waits any more. Later calls change nothing. */
  abort(reason: SluiceError): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }
}
