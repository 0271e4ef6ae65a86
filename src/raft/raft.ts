import { randomInt } from '../base/random.ts';
import { handleAppend, handleHeartbeat } from './append.ts';
import { BallotBox } from './ballot.ts';
import { describeEvent, describeState } from './describe.ts';
import type { Effect, Role } from './effect.ts';
import {
  countOwnVote,
  handlePreVote,
  handlePreVoteReply,
  handleTimeoutNow,
  handleVote,
  handleVoteReply,
  loseLeader,
  tickElection,
} from './election.ts';
import type { Event, WriteId } from './event.ts';
import { ForwardedReads } from './forwarded-reads.ts';
import { Invariants } from './invariants.ts';
import { tickLeader } from './leader.ts';
import { Lease } from './lease.ts';
import { leaseUntilMs } from './lease-reads.ts';
import { RaftLog } from './log.ts';
import type { Membership } from './membership.ts';
import { handleChange, pursueChange } from './membership-change.ts';
import { MembershipLog } from './membership-log.ts';
import type { Message } from './message.ts';
import { checkOptions, type RaftOptions } from './options.ts';
import type { LogIndex, NodeId, Position, Term } from './position.ts';
import type { ProgressState } from './progress.ts';
import { handlePropose } from './proposals.ts';
import { ReadRounds } from './read-rounds.ts';
import { beginReads, expireReads, handleRead, handleReadIndex, handleReadIndexReply } from './reads.ts';
import {
  advanceCommit,
  handleAppendReject,
  handleAppendReply,
  handleHeartbeatReply,
  losePeer,
  regainPeer,
  replicate,
} from './replication.ts';
import {
  handleSnapshotFailed,
  handleSnapshotFetched,
  handleSnapshotInstalled,
  handleSnapshotOffer,
  pursueIntake,
} from './snapshot-intake.ts';
import { emit, halt, isBallotPending, isInstalling, promise, type RaftState, restartElectionTimer } from './state.ts';
import { passTerm } from './term-gate.ts';
import { handleTransfer, pursueTransfer } from './transfer.ts';
import { WriteQueue } from './write-queue.ts';

/** A peer as its leader sees it. */
interface PeerStatus {
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: ProgressState;
  /** Append messages on their way to it. */
  readonly framesInFlight: number;
  readonly bytesInFlight: number;
  /** Ticks since something of this term came from it. */
  readonly silentTicks: number;
}

export interface RaftStatus {
  readonly id: NodeId;
  readonly term: Term;
  readonly role: Role;
  readonly leader: NodeId | undefined;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly durable: LogIndex;
  readonly last: Position;
  /** The entry before the first one kept. */
  readonly base: Position;
  /** The configuration in force, the index of the entry that made it, and whether that is known to be committed. */
  readonly membership: Membership;
  readonly membershipAt: LogIndex;
  readonly membershipCommitted: boolean;
  /** Where leadership is being handed to. */
  readonly transferringTo: NodeId | undefined;
  /** Of entries behind the commit index, as far as sizes are known. */
  readonly uncommittedBytes: number;
  /** Reads that wait for the leader, or in the leader for a round. */
  readonly pendingReads: number;
  /** Rounds that confirmed reads, and campaigns put off because the own disk was slow, in the life of this node. */
  readonly readRounds: number;
  readonly campaignsVetoed: number;
  /** Reads that needed no round because of a lease, and until when, on this node's clock, that lasts. */
  readonly leaseReads: number;
  readonly leaseUntilMs: number;
  /** Whom it sends to; empty unless this node leads. */
  readonly peers: ReadonlyMap<NodeId, PeerStatus>;
}

/**
 * One member of a Raft group as a value machine (Ongaro & Ousterhout 2014; Ongaro's thesis for pre-vote, check-quorum,
 * ReadIndex and transfer). Events go in, effects come out, nothing else happens: no clock, no disk, no network. Any
 * event is legal at any time. Events that are there together should be given together: they make one write and one
 * message to each peer.
 */
export class Raft {
  readonly #state: RaftState;
  readonly #invariants: Invariants;

  /** @throws AssertionError when the options contradict each other or what is stored. */
  constructor(options: RaftOptions) {
    checkOptions(options);
    const { stored, random } = options;
    const memberships = new MembershipLog(options.membership, options.applied, stored.configs);
    this.#state = {
      options,
      membership: memberships.current,
      memberships,
      ballot: new BallotBox(stored.ballot),
      log: new RaftLog(stored, options.applied),
      writes: new WriteQueue(stored.last.index),
      effects: [],
      role: 'follower',
      leader: undefined,
      now: 0,
      leaderHeard: 0,
      leaderLost: false,
      quickCampaigns: 0,
      echoed: 0,
      echoedAt: -1,
      campaignsVetoed: 0,
      electionAt: 0,
      votes: new Map(),
      peers: new Map(),
      reads: new ReadRounds(options.maxPendingReads),
      forwarded: new ForwardedReads(options.maxPendingReads, randomInt(random, 1, 2 ** 48)),
      lease: new Lease(),
      leaseReads: 0,
      timeMs: 0,
      transfer: undefined,
      intake: undefined,
      owed: undefined,
      deferred: [],
      halted: undefined,
    };
    restartElectionTimer(this.#state);
    this.#invariants = new Invariants(this.#state);
  }

  step(event: Event, timeMs?: number): readonly Effect[] {
    return this.stepAll([event], timeMs);
  }

  /**
   * Takes events in their order; what they cause leaves together. `timeMs`: of a monotonic clock, read when all of them
   * were there; only leases look at it, and there is none without it.
   */
  stepAll(events: readonly Event[], timeMs = Number.NaN): readonly Effect[] {
    const state = this.#state;
    if (state.halted !== undefined) return [];
    state.timeMs = timeMs;
    for (const event of events) {
      handle(state, event);
      if (state.halted !== undefined) return [halted(state, event)];
    }
    conclude(state);
    const broken = this.#invariants.firstBroken(state);
    if (broken !== undefined) {
      halt(state, broken);
      return [halted(state, events.at(-1))];
    }
    const { effects } = state;
    state.effects = [];
    return effects;
  }

  /** How far the log has got; costs nothing to read. */
  get log(): Pick<RaftLog, 'commit' | 'durable' | 'last'> {
    return this.#state.log;
  }

  status(): RaftStatus {
    const { options, ballot, role, leader, log, transfer, now, membership, memberships, reads } = this.#state;
    const peers = new Map<NodeId, PeerStatus>();
    for (const [peer, { match, next, state, lastHeard, window }] of this.#state.peers) {
      const { frames: framesInFlight, bytes: bytesInFlight } = window;
      peers.set(peer, { match, next, state, framesInFlight, bytesInFlight, silentTicks: now - lastHeard });
    }
    const { commit, applied, durable, last, base } = log;
    return {
      id: options.id,
      term: ballot.term,
      role,
      leader,
      commit,
      applied,
      durable,
      last,
      base,
      membership,
      membershipAt: memberships.at,
      membershipCommitted: memberships.at <= commit,
      transferringTo: transfer?.to,
      uncommittedBytes: log.sizes.bytesAfter(commit),
      pendingReads: reads.pending + this.#state.forwarded.pending,
      readRounds: reads.begun,
      campaignsVetoed: this.#state.campaignsVetoed,
      leaseReads: this.#state.leaseReads,
      leaseUntilMs: leaseUntilMs(this.#state),
      peers,
    };
  }
}

/** What the node says last; whatever else the step would have caused is dropped. */
function halted(state: RaftState, event: Event | undefined): Effect {
  const cause = event === undefined ? 'no event' : describeEvent(event);
  return { kind: 'halt', reason: `${state.halted} (${describeState(state)}; after ${cause})` };
}

function handle(state: RaftState, event: Event): void {
  switch (event.kind) {
    case 'tick':
      tick(state);
      break;
    case 'receive':
      if (passTerm(state, event.from, event.message)) receive(state, event.from, event.message);
      return;
    case 'propose':
      handlePropose(state, event.proposals, event.expectedTerm);
      break;
    case 'read':
      handleRead(state, event.token);
      break;
    case 'transferLeadership':
      handleTransfer(state, event.to);
      break;
    case 'changeMembership':
      handleChange(state, event);
      break;
    case 'persisted':
      persisted(state, event.write);
      break;
    case 'compacted':
      state.log.compactTo(event.base);
      break;
    case 'snapshotFetched':
      handleSnapshotFetched(state, event.meta);
      break;
    case 'snapshotFailed':
      handleSnapshotFailed(state);
      break;
    case 'snapshotInstalled':
      handleSnapshotInstalled(state, event.meta);
      break;
    case 'applied':
      state.log.markApplied(event.index);
      break;
    case 'peerUnreachable': {
      if (event.peer === state.leader) loseLeader(state);
      const progress = state.peers.get(event.peer);
      if (progress !== undefined) losePeer(progress);
      return;
    }
    case 'peerReachable': {
      const progress = state.peers.get(event.peer);
      if (progress !== undefined) regainPeer(progress);
      return;
    }
  }
}

function receive(state: RaftState, from: NodeId, message: Message): void {
  switch (message.kind) {
    case 'preVote':
      handlePreVote(state, from, message);
      break;
    case 'preVoteReply':
      handlePreVoteReply(state, from, message);
      break;
    case 'vote':
      handleVote(state, from, message);
      break;
    case 'voteReply':
      handleVoteReply(state, from, message);
      break;
    case 'append':
      handleAppend(state, from, message);
      break;
    case 'appendReply':
      handleAppendReply(state, from, message);
      break;
    case 'appendReject':
      handleAppendReject(state, from, message);
      break;
    case 'heartbeat':
      handleHeartbeat(state, from, message);
      break;
    case 'snapshotOffer':
      handleSnapshotOffer(state, from, message);
      break;
    case 'heartbeatReply':
      handleHeartbeatReply(state, from, message);
      break;
    case 'readIndex':
      handleReadIndex(state, from, message);
      break;
    case 'readIndexReply':
      handleReadIndexReply(state, message);
      break;
    case 'timeoutNow':
      handleTimeoutNow(state, from);
      break;
  }
}

function tick(state: RaftState): void {
  state.now += 1;
  if (state.role === 'leader') tickLeader(state);
  else tickElection(state);
  expireReads(state);
}

function persisted(state: RaftState, id: WriteId): void {
  const done = state.writes.finish(id);
  if (done === undefined) {
    halt(state, `Write ${id} is reported as durable but is not in flight`);
    return;
  }
  state.log.markDurable(done.last);
  if (done.hasBallot) countOwnVote(state);
  if (state.role === 'leader') advanceCommit(state);
}

/** What all events of a step cause together: reads, messages to peers, the next write, commands to apply. */
function conclude(state: RaftState): void {
  beginReads(state);
  if (state.role === 'leader') pursueChange(state);
  if (state.role === 'leader') {
    replicate(state);
    pursueTransfer(state);
  }
  state.memberships.committed(state.log.commit);
  if (state.intake?.stage !== 'installing') issueWrite(state);
  pursueIntake(state);
  // What this term taught may be applied for ever, so the term must be as durable: after a crash a leader of an earlier
  // one, to whom the commit is unknown, would be obeyed again.
  const held = isInstalling(state) || isBallotPending(state);
  const range = held ? undefined : state.log.issue();
  if (range !== undefined) emit(state, { kind: 'apply', ...range });
}

function issueWrite(state: RaftState): void {
  const { writes, ballot, log } = state;
  if (writes.inFlight !== undefined || !(writes.hasPending || ballot.changed)) return;
  const write = writes.issue(ballot.take(), log.commit, state.now);
  emit(state, write);
  const after = write.id;
  for (const { to, message } of state.deferred) emit(state, { kind: 'send', to, message, after });
  if (state.owed !== undefined) {
    const { to, match, readPosition } = state.owed;
    const message: Message = { kind: 'appendReply', term: ballot.term, match, readPosition, ...promise(state) };
    emit(state, { kind: 'send', to, message, after });
  }
  state.deferred = [];
  state.owed = undefined;
}
