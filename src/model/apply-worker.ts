import { checkCount } from './apply-check.ts';
import { type ApplyContext, DONE, type Result } from './apply-context.ts';
import type { CommandOf } from './command.ts';
import { refuse } from './refusal.ts';
import type { WorkerRow } from './state-store.ts';

/** Applies `registerWorker`. Saying the same again, as workers do when they reconnect, changes nothing. */
export function applyRegisterWorker(context: ApplyContext, command: CommandOf<'registerWorker'>): Result {
  const { id, address, host, capacityBytes } = command.worker;
  if (id === '' || address === '') {
    return refuse('INVALID_ARGUMENT', 'A worker registers with its id and the address of its data service: give both');
  }
  const refusal = checkCount(`Capacity of worker ${id}`, capacityBytes, 0);
  if (refusal !== undefined) return refusal;
  const known = context.store.get('worker', id);
  const registeredMs = known?.registeredMs ?? context.nowMs;
  const row: WorkerRow = { id, address, host, capacityBytes, state: 'live', registeredMs };
  const same =
    known?.state === 'live' &&
    known.address === address &&
    known.host === host &&
    known.capacityBytes === capacityBytes;
  if (same) return DONE;
  context.store.put('worker', id, row);
  context.workersChanged();
  return DONE;
}

/** Applies `setWorkerState`. */
export function applySetWorkerState(context: ApplyContext, command: CommandOf<'setWorkerState'>): Result {
  const row = context.store.get('worker', command.id);
  if (row === undefined) {
    return refuse('NOT_FOUND', `Worker ${command.id} is not registered: it registers when it starts`);
  }
  if (row.state === command.state) return DONE;
  context.store.put('worker', row.id, { ...row, state: command.state });
  context.workersChanged();
  return DONE;
}
