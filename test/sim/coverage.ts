import type { Effect, Role } from '../../src/raft/effect.ts';
import type { MessageKind } from '../../src/raft/message.ts';
import { FAULT_KINDS, type FaultKind } from './faults.ts';

const MESSAGES = Object.keys({
  preVote: true,
  preVoteReply: true,
  vote: true,
  voteReply: true,
  append: true,
  appendReply: true,
  appendReject: true,
  heartbeat: true,
  heartbeatReply: true,
  snapshotOffer: true,
  readIndex: true,
  readIndexReply: true,
  timeoutNow: true,
} satisfies Record<MessageKind, true>);

const ROLES = Object.keys({
  follower: true,
  preCandidate: true,
  candidate: true,
  leader: true,
} satisfies Record<Role, true>);

/** All but `halt`, which ends a simulation as a failure. */
const EFFECTS = Object.keys({
  stage: true,
  write: true,
  send: true,
  apply: true,
  readReady: true,
  readFailed: true,
  settle: true,
  membershipSettled: true,
  membershipChanged: true,
  fetchSnapshot: true,
  installSnapshot: true,
  discardSnapshot: true,
  roleChanged: true,
  handingOver: true,
} satisfies Record<Exclude<Effect['kind'], 'halt'>, true>);

/** What became of torn and of damaged disks. */
const DISKS = ['torn kept', 'torn cut', 'damage refused', 'damage harmless', 'damage cut'] as const;

type Counts = Record<string, number>;

/** By message and role. */
const HANDLERS = Object.fromEntries(
  MESSAGES.map((message) => [message, Object.fromEntries(ROLES.map((role) => [role, `${message} in ${role}`]))]),
);

/** How often each thing happened: a simulation tests only what it reaches. */
export class Coverage {
  readonly faults = zeros(FAULT_KINDS);
  /** Messages, by the role in which their receiver began its turn. */
  readonly handlers = zeros(Object.values(HANDLERS).flatMap((names) => Object.values(names)));
  readonly effects = zeros(EFFECTS);
  readonly disks = zeros(DISKS);
  /** Turns of cores. */
  steps = 0;

  fault(kind: FaultKind): void {
    count(this.faults, kind, 1);
  }

  handler(message: MessageKind, role: Role): void {
    count(this.handlers, HANDLERS[message]![role]!, 1);
  }

  effect({ kind }: Effect): void {
    count(this.effects, kind, 1);
  }

  disk(end: (typeof DISKS)[number]): void {
    count(this.disks, end, 1);
  }

  add({ faults, handlers, effects, disks, steps }: Coverage): void {
    for (const [name, times] of Object.entries(faults)) count(this.faults, name, times);
    for (const [name, times] of Object.entries(handlers)) count(this.handlers, name, times);
    for (const [name, times] of Object.entries(effects)) count(this.effects, name, times);
    for (const [name, times] of Object.entries(disks)) count(this.disks, name, times);
    this.steps += steps;
  }

  /** What never happened. */
  missing(): string[] {
    const all = { ...this.faults, ...this.handlers, ...this.effects, ...this.disks };
    return Object.keys(all).filter((name) => all[name] === 0);
  }
}

function zeros(names: readonly string[]): Counts {
  return Object.fromEntries(names.map((name) => [name, 0]));
}

function count(counts: Counts, name: string, times: number): void {
  counts[name] = (counts[name] ?? 0) + times;
}
