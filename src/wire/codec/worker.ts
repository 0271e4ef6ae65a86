import { SluiceError } from '../../model/errors.ts';
import type { WorkerList, WorkerState, WorkerStatus } from '../../model/worker.ts';
import {
  type WorkerList as WorkerListMessage,
  WorkerState as WorkerStateNumber,
  type WorkerStatus as WorkerStatusMessage,
} from '../gen/sluice/v1/model.ts';
import { WordTable } from './word-table.ts';

const STATES = new WordTable<WorkerState, WorkerStateNumber>('state', {
  live: WorkerStateNumber.WORKER_STATE_LIVE,
  lost: WorkerStateNumber.WORKER_STATE_LOST,
});

export function toWorkerStatusMessage(status: WorkerStatus): WorkerStatusMessage {
  const { id, address, host, capacityBytes, state, ...rest } = status;
  return { ...rest, worker: { id, address, host, capacityBytes }, state: STATES.number(state) };
}

export function fromWorkerStatusMessage(message: WorkerStatusMessage): WorkerStatus {
  const { worker, state, ...rest } = message;
  if (worker === undefined) throw new SluiceError('INVALID_ARGUMENT', 'A worker without registration');
  return { ...worker, ...rest, state: STATES.word(state) };
}

export function toWorkerListMessage(list: WorkerList): WorkerListMessage {
  return { version: list.version, workers: list.workers.map(toWorkerStatusMessage) };
}

export function fromWorkerListMessage(message: WorkerListMessage): WorkerList {
  return { version: message.version, workers: message.workers.map(fromWorkerStatusMessage) };
}
