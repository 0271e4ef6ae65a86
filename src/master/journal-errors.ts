import { SluiceError } from '../model/errors.ts';
import { memberName } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';

/** What was proposed may or may not take effect. */
export function unknownFate(why: string): SluiceError {
  return new SluiceError(
    'UNAVAILABLE',
    `${why}: the operation may still take effect; try again under the same request id`,
    {
      details: { fate: 'unknown' },
    },
  );
}

/** Another master leads, at `address` for clients when that is known, or nobody does; nothing took effect. */
export function notLeader(self: string, leader: NodeId | undefined, address: string | undefined): SluiceError {
  if (leader === undefined || address === undefined)
    return new SluiceError('NOT_LEADER', `Master ${self} does not lead and knows no leader now: try again soon`);
  return new SluiceError('NOT_LEADER', `Master ${self} does not lead: ask ${memberName(leader)} at ${address}`, {
    details: { leader: address },
  });
}

/** This standby does not have in time what is committed; the leader does. */
export function behind(self: string, leader: NodeId | undefined, address: string | undefined): SluiceError {
  if (leader === undefined || address === undefined) return notLeader(self, leader, address);
  return new SluiceError(
    'NOT_LEADER',
    `The state of master ${self} is behind: ask ${memberName(leader)} at ${address}`,
    {
      details: { leader: address },
    },
  );
}

/** The journal cannot take more now; nothing took effect. */
export function overloaded(waiting: number): SluiceError {
  return new SluiceError('EXHAUSTED', `The journal is full (${waiting} proposals wait): send less, or try again later`);
}

/** This journal takes nothing more, and nothing took effect: a client goes on with the next master. */
export function stopped(self: string, why: string): SluiceError {
  return new SluiceError('NOT_LEADER', `Master ${self} ${why}: ask another one`);
}
