import { SluiceError } from '../../model/errors.ts';
import { type Greeting as GreetingMessage, HelloRequest, HelloResponse } from '../gen/sluice/v1/raft.ts';
import type { Greeting } from '../greeting.ts';
import { messageCodec } from './codec.ts';

function toMessage({ committed, ...greeting }: Greeting): GreetingMessage {
  if (committed === undefined) return { ...greeting, membership: undefined };
  return { ...greeting, membership: { ...committed.membership, applied: committed.applied } };
}

function fromMessage(message: GreetingMessage | undefined): Greeting {
  if (message === undefined) throw new SluiceError('INVALID_ARGUMENT', 'Missing: who says hello');
  const { membership, timing, ...rest } = message;
  const greeting = { ...rest, timing };
  if (membership === undefined) return { ...greeting, committed: undefined };
  const { applied, ...members } = membership;
  return { ...greeting, committed: { membership: members, applied } };
}

export const HELLO_REQUEST = messageCodec(
  HelloRequest,
  (sender: Greeting) => ({ sender: toMessage(sender) }),
  ({ sender }) => fromMessage(sender),
);

export const HELLO_REPLY = messageCodec(
  HelloResponse,
  (receiver: Greeting) => ({ receiver: toMessage(receiver) }),
  ({ receiver }) => fromMessage(receiver),
);
