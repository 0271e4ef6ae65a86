import type { NodeId } from './position.ts';

/** What the others must know of a member besides its name. */
export interface MemberInfo {
  readonly id: NodeId;
  /** Where it listens for the other members, `host:port`; names are resolved at each dial. */
  readonly address: string;
  /** Where clients reach it; empty when it has not said so. */
  readonly clientAddress: string;
  /** Leadership goes to the voter of the highest priority that is alive and caught up. */
  readonly priority: number;
}

/**
 * Who votes. `outgoing` is not empty only in a joint configuration (Raft §6): then both sets must agree. Learners
 * receive the log and do not vote; in a joint configuration a learner may still be an outgoing voter.
 */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly outgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** One for each member whose address is known, in order of their ids. */
  readonly members: readonly MemberInfo[];
}

/** What a change asks for; how to get there is the core's business. */
export type MembershipTarget = Omit<Membership, 'outgoing'>;

/** What a node believes that waits to be taken in: it follows, and votes when asked, but never campaigns. */
export const NO_MEMBERS: Membership = Object.freeze({ voters: [], outgoing: [], learners: [], members: [] });

/** Members whose addresses are known elsewhere. */
export function membershipOf(voters: readonly NodeId[], learners: readonly NodeId[] = []): Membership {
  return { voters: [...voters].sort(), outgoing: [], learners: [...learners].sort(), members: [] };
}

/** The name in an id `name@…`, which tells apart the disks that a name had one after the other. */
export function memberName(id: NodeId): string {
  const at = id.lastIndexOf('@');
  return at === -1 ? id : id.slice(0, at);
}

export function isJoint(membership: Membership): boolean {
  return membership.outgoing.length > 0;
}

/** Everybody who is sent the log, each once, in order of their ids. */
export function allMembers({ voters, outgoing, learners }: Membership): NodeId[] {
  return [...new Set([...voters, ...outgoing, ...learners])].sort();
}

/** The configuration that begins a change: joint when voters change, else already the last one. */
export function enter(current: Membership, target: MembershipTarget): Membership {
  const voters = [...target.voters].sort();
  const same = voters.join() === [...current.voters].sort().join();
  return {
    voters,
    outgoing: same ? [] : [...current.voters].sort(),
    learners: [...target.learners].sort(),
    members: orderedInfo(same ? target.members : withLeaving(current, target)),
  };
}

/** The configuration that ends a joint one. */
export function leave(joint: Membership): Membership {
  const { voters, learners } = joint;
  const staying = new Set([...voters, ...learners]);
  return { voters, outgoing: [], learners, members: joint.members.filter(({ id }) => staying.has(id)) };
}

/** Why nobody could live with such a configuration; undefined when it is sound. */
export function unsound(target: MembershipTarget): string | undefined {
  const { voters, learners, members } = target;
  if (voters.length === 0) return 'no voter would be left';
  const all = [...voters, ...learners];
  const twice = all.find((id, i) => all.indexOf(id) !== i);
  if (twice !== undefined) return `${twice} is named twice`;
  const named = members.map(({ id }) => id);
  const stranger = named.find((id, i) => !all.includes(id) || named.indexOf(id) !== i);
  return stranger === undefined ? undefined : `${stranger} has an address, but is no member or has two`;
}

/** While both sets count, the addresses of those who leave are needed too. */
function withLeaving(current: Membership, target: MembershipTarget): MemberInfo[] {
  const known = new Set(target.members.map(({ id }) => id));
  return [...target.members, ...current.members.filter(({ id }) => current.voters.includes(id) && !known.has(id))];
}

function orderedInfo(members: readonly MemberInfo[]): MemberInfo[] {
  return [...members].sort((a, b) => (a.id < b.id ? -1 : 1));
}
