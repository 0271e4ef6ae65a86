import type { AddMember, AddProgress, RemoveMember } from '../../model/membership-change.ts';
import {
  AddMemberRequest,
  AddMemberResponse,
  AddPhase,
  PreferMemberRequest,
  PreferMemberResponse,
  RemoveMemberRequest,
  RemoveMemberResponse,
} from '../gen/sluice/v1/journal.ts';
import { messageCodec } from './codec.ts';
import { WordTable } from './word-table.ts';

const PHASES = new WordTable<AddProgress['phase'], AddPhase>('phase', {
  waiting: AddPhase.ADD_PHASE_WAITING,
  learning: AddPhase.ADD_PHASE_LEARNING,
  done: AddPhase.ADD_PHASE_DONE,
});

export const ADD_REQUEST = messageCodec(
  AddMemberRequest,
  (asked: AddMember) => asked,
  (message) => message,
);

export const ADD_REPLY = messageCodec(
  AddMemberResponse,
  (progress: AddProgress) => ({ ...progress, phase: PHASES.number(progress.phase) }),
  (message): AddProgress => ({ ...message, phase: PHASES.word(message.phase) }),
);

export const REMOVE_REQUEST = messageCodec(
  RemoveMemberRequest,
  (asked: RemoveMember) => asked,
  (message) => message,
);

/** Names of the voters that stay. */
export const REMOVE_REPLY = messageCodec(
  RemoveMemberResponse,
  (voters: readonly string[]) => ({ voters }),
  ({ voters }) => voters,
);

/** Who shall lead; undefined prefers nobody. */
export const PREFER_REQUEST = messageCodec(
  PreferMemberRequest,
  (name: string | undefined) => ({ name: name ?? '' }),
  ({ name }) => (name === '' ? undefined : name),
);

export const PREFER_REPLY = messageCodec(
  PreferMemberResponse,
  (_: undefined) => ({}),
  () => undefined,
);
