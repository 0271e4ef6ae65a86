import type { AddMember, AddProgress, RemoveMember } from '../model/membership-change.ts';
import {
  ADD_REPLY,
  ADD_REQUEST,
  PREFER_REPLY,
  PREFER_REQUEST,
  REMOVE_REPLY,
  REMOVE_REQUEST,
} from './codec/membership-change.ts';
import { JournalServiceService } from './gen/sluice/v1/journal.ts';
import type { GrpcService, UnaryMethod } from './grpc-server.ts';

/** How operators change the members; all throw NOT_LEADER with details `leader`. */
export interface MembershipHandlers {
  /** Does the next step of taking a master in. */
  add(asked: AddMember): Promise<AddProgress>;
  /** Goes on without a master. @returns the names of the voters that stay */
  remove(asked: RemoveMember): Promise<readonly string[]>;
  /** Makes a master lead whenever it can; undefined: none is preferred. */
  prefer(name: string | undefined): Promise<void>;
}

/** Serves `members` to operators. */
export function membershipService(members: MembershipHandlers): GrpcService {
  return {
    unary: new Map<string, UnaryMethod>([
      [
        JournalServiceService.addMember.path,
        async (request) => ADD_REPLY.encode(await members.add(ADD_REQUEST.decode(request))),
      ],
      [
        JournalServiceService.removeMember.path,
        async (request) => REMOVE_REPLY.encode(await members.remove(REMOVE_REQUEST.decode(request))),
      ],
      [
        JournalServiceService.preferMember.path,
        async (request) => {
          await members.prefer(PREFER_REQUEST.decode(request));
          return PREFER_REPLY.encode(undefined);
        },
      ],
    ]),
  };
}
