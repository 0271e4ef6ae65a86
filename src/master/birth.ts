import type { MemberInfo } from '../raft/membership.ts';
import { memberName } from '../raft/membership.ts';
import type { NodeId } from '../raft/position.ts';
import type { Greeting } from '../wire/greeting.ts';

export interface BirthFacts {
  /** Name of the cluster. */
  readonly cluster: string;
  readonly self: NodeId;
  /** Whether this master may be one of the first of a new cluster. */
  readonly listed: boolean;
  /** Names of the other masters that it was told of. */
  readonly others: readonly string[];
  /** What each of them said last, by the name that it was asked as. */
  readonly heard: ReadonlyMap<string, Greeting>;
}

export type BirthDecision =
  /** A new cluster of these, this master included. */
  | { readonly kind: 'found'; readonly roster: readonly NodeId[] }
  /** A cluster that others have founded, and this master is one of its first members. */
  | { readonly kind: 'born'; readonly clusterId: string; readonly roster: readonly MemberInfo[] }
  /** A cluster that does not know this master. `replaces`: the member that has its name. */
  | { readonly kind: 'join'; readonly clusterId: string; readonly replaces: NodeId | undefined }
  /** `missing`: who has not said what is needed, and what is wrong with it. */
  | { readonly kind: 'wait'; readonly missing: readonly string[] };

/**
 * What becomes of a master whose folder is empty. It never votes before it is known whether it is new, or has lost a
 * disk whose promises others count on.
 *
 * A cluster is founded by who has heard all others say that they have none and have heard exactly the same ids. That
 * makes one roster of it, whoever founds first, though a disk may be emptied meanwhile: each asks each other one
 * question after the other, so that it learns the ids that a master had one after the other in their order. Were two
 * rosters founded by a and b, each would have been heard by both; a would hold the later ids, and so would b.
 */
export function decideBirth(facts: BirthFacts): BirthDecision {
  const { cluster, self, others, heard, listed } = facts;
  const known = [...heard].filter(([name, greeting]) => objection(facts, name, greeting) === undefined);
  const members = known
    .map(([, greeting]) => greeting)
    .filter(({ clusterId, removed }) => clusterId !== '' && !removed);
  const [first] = members;
  if (first !== undefined) {
    const other = members.find(({ clusterId }) => clusterId !== first.clusterId);
    if (other !== undefined) {
      const what = `${first.id} and ${other.id} belong to different clusters that are both named ${cluster}`;
      return { kind: 'wait', missing: [`${what}: correct master.peers`] };
    }
    const { clusterId } = first;
    const parent = members.find(({ birth }) => birth.some(({ id }) => id === self));
    if (parent !== undefined) return { kind: 'born', clusterId, roster: parent.birth };
    const name = memberName(self);
    const roster = members.flatMap(({ birth, committed }) => committed?.membership.voters ?? birth.map(({ id }) => id));
    return { kind: 'join', clusterId, replaces: roster.find((id) => memberName(id) === name) };
  }
  const roster = [self, ...known.map(([, { id }]) => id)].sort();
  const missing = others.flatMap((name) => {
    const greeting = heard.get(name);
    const why = greeting === undefined ? 'has not answered' : objection(facts, name, greeting);
    return why === undefined ? [] : [`${name} ${why}`];
  });
  if (missing.length > 0) return { kind: 'wait', missing };
  if (!listed) return { kind: 'wait', missing: ['none of the others belongs to a cluster yet'] };
  const behind = known.filter(([, greeting]) => greeting.heard.join() !== roster.join());
  if (behind.length === 0) return { kind: 'found', roster };
  return { kind: 'wait', missing: behind.map(([name, { heard: its }]) => `${name} ${disagreement(roster, its)}`) };
}

/** Why what a master said cannot be counted. */
function objection({ cluster, self }: BirthFacts, name: string, greeting: Greeting): string | undefined {
  if (greeting.cluster !== cluster)
    return `belongs to a cluster named ${greeting.cluster}, this master to ${cluster}: correct master.cluster`;
  if (greeting.id === self) return 'has the address of this master: correct master.peers';
  if (memberName(greeting.id) !== name) return `is ${memberName(greeting.id)} at that address: correct master.peers`;
  return undefined;
}

function disagreement(ours: readonly NodeId[], theirs: readonly NodeId[]): string {
  const stranger = theirs.find((id) => !ours.some((one) => memberName(one) === memberName(id)));
  if (stranger === undefined) return 'has not heard all of us yet';
  return `knows a master ${memberName(stranger)} too: make master.peers the same everywhere`;
}
