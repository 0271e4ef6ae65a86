import { SluiceError } from '../../model/errors.ts';
import { ConnectRequest, ConnectResponse } from '../gen/sluice/v1/registry.ts';
import type { LeaderMessage, WorkerMessage } from '../registry-messages.ts';
import { messageCodec } from './codec.ts';
import { fromWorkerListMessage, toWorkerListMessage } from './worker.ts';

function toRequest(message: WorkerMessage): ConnectRequest {
  switch (message.kind) {
    case 'register':
      return { message: { $case: 'register', value: message.worker } };
    case 'heartbeat':
      return { message: { $case: 'heartbeat', value: message } };
    case 'protectedFiles':
      return { message: { $case: 'protectedFiles', value: { ids: message.fileIds } } };
  }
}

function fromRequest({ message }: ConnectRequest): WorkerMessage {
  switch (message?.$case) {
    case 'register':
      return { kind: 'register', worker: message.value };
    case 'heartbeat':
      return { kind: 'heartbeat', ...message.value };
    case 'protectedFiles':
      return { kind: 'protectedFiles', fileIds: message.value.ids };
    default:
      throw new SluiceError('UNSUPPORTED', 'A worker said what this master does not know: upgrade the master');
  }
}

function toResponse(message: LeaderMessage): ConnectResponse {
  switch (message.kind) {
    case 'registered':
      return { message: { $case: 'registered', value: {} } };
    case 'mounts':
      return { message: { $case: 'mounts', value: message } };
    case 'workers':
      return { message: { $case: 'workers', value: toWorkerListMessage(message.list) } };
    case 'forget':
      return { message: { $case: 'forget', value: { ids: message.fileIds } } };
    case 'masters':
      return { message: { $case: 'masters', value: { addresses: message.addresses } } };
  }
}

function fromResponse({ message }: ConnectResponse): LeaderMessage {
  switch (message?.$case) {
    case 'registered':
      return { kind: 'registered' };
    case 'mounts':
      return { kind: 'mounts', ...message.value };
    case 'workers':
      return { kind: 'workers', list: fromWorkerListMessage(message.value) };
    case 'forget':
      return { kind: 'forget', fileIds: message.value.ids };
    case 'masters':
      return { kind: 'masters', addresses: message.value.addresses };
    default:
      throw new SluiceError('UNSUPPORTED', 'The leader said what this worker does not know: upgrade the worker');
  }
}

/** What a worker says. */
export const WORKER_MESSAGE = messageCodec(ConnectRequest, toRequest, fromRequest);

/** What the leader says. */
export const LEADER_MESSAGE = messageCodec(ConnectResponse, toResponse, fromResponse);
