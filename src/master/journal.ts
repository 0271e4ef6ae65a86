import { must } from '../base/assert.ts';
import type { Closeable } from '../host/scope.ts';
import type { Applied, Command, Outcome } from '../model/command.ts';
import { SluiceError } from '../model/errors.ts';
import type { RequestId } from '../model/operations.ts';
import type { Caller } from '../model/principal.ts';
import type { QuorumInfo } from '../model/report.ts';
import type { DropReason, Effect, Role } from '../raft/effect.ts';
import type { Entry } from '../raft/entry.ts';
import type { Event, Proposal, ProposalId } from '../raft/event.ts';
import { type Membership, type MembershipTarget, memberName } from '../raft/membership.ts';
import type { Message } from '../raft/message.ts';
import type { LogIndex, NodeId } from '../raft/position.ts';
import { Raft, type RaftStatus } from '../raft/raft.ts';
import type { TransportListener } from '../raft/transport.ts';
import type { CommittedMembership } from '../wire/greeting.ts';
import type { SnapshotReader } from '../wire/snapshot-reader.ts';
import { AppendPump } from './append-pump.ts';
import { ApplyPump } from './apply-pump.ts';
import { JournalCompaction } from './journal-compaction.ts';
import { behind, notLeader, overloaded, stopped, unknownFate } from './journal-errors.ts';
import { exposeJournal } from './journal-gauges.ts';
import { JournalLeadership } from './journal-leadership.ts';
import { JournalMembership } from './journal-membership.ts';
import { JournalMetrics } from './journal-metrics.ts';
import type { JournalParts, MemberLinks } from './journal-parts.ts';
import { addressesIn, clientAddressIn, quorumInfo } from './journal-quorum.ts';
import { JournalReads } from './journal-reads.ts';
import { JournalRing } from './journal-ring.ts';
import { journalTicker } from './journal-ticker.ts';
import { handOver, transferLeadership } from './leadership-transfer.ts';
import type { LevelStateStore } from './level-state-store.ts';
import type { Leadership, ReplicatedState, StateListener } from './replicated-state.ts';
import { SnapshotExchange } from './snapshot-exchange.ts';
import { stampedCommand } from './stamped-command.ts';
import { StateListeners } from './state-listeners.ts';
import { StoragePump } from './storage-pump.ts';
import type { Ticker } from './ticker.ts';
import { type Waiter, Waiters } from './waiters.ts';

/** Proposals between the door and their outcome. */
const MAX_WAITING = 65_536;
/** How long a standby keeps readers waiting for its own state; the leader's is as good. */
const READ_PATIENCE_MS = 300;

/**
 * Drives the Raft core: what arrives during one turn of the event loop enters it together, and its effects become one
 * write, one message to each peer, and a slice of applying. All callbacks run in the one event loop, and between an
 * event and its effects nothing is awaited.
 */
export class Journal implements ReplicatedState, TransportListener, Closeable {
  readonly state: LevelStateStore;
  readonly #parts: JournalParts;
  readonly #raft: Raft;
  readonly #metrics: JournalMetrics;
  readonly #ring: JournalRing;
  readonly #storage: StoragePump;
  readonly #appends: AppendPump;
  readonly #apply: ApplyPump;
  readonly #compaction: JournalCompaction;
  readonly #snapshots: SnapshotExchange;
  readonly #waiters = new Waiters();
  readonly #reads: JournalReads;
  readonly #membership: JournalMembership;
  readonly #listeners = new StateListeners();
  readonly #leadership: JournalLeadership;
  readonly #transport: MemberLinks;
  readonly #ticker: Ticker;
  #inbox: Event[] = [];
  #proposals: Proposal[] = [];
  /** Who waits for `#proposals`, in the same order. */
  #proposers: Waiter[] = [];
  #lastProposal: ProposalId = 0;
  /** What all who ask to read in this turn wait for. */
  #barrier: Promise<void> | undefined;
  #scheduled = false;
  #installing: Promise<void> | undefined;
  /** Why nothing is accepted any more. */
  #stopped: SluiceError | undefined;
  #closing: Promise<void> | undefined;

  constructor(parts: JournalParts) {
    const { id, birth, limits, stored, state, log, clock, random } = parts;
    this.#parts = parts;
    this.state = state;
    this.#metrics = new JournalMetrics(parts.metrics, clock);
    this.#reads = new JournalReads(clock, this.#metrics);
    this.#leadership = new JournalLeadership(stored.ballot.term, this.#listeners);
    const membership = state.membership ?? birth;
    this.#raft = new Raft({ ...limits, id, membership, stored, applied: state.applied.index, random });
    this.#ring = new JournalRing(stored.last.index, parts.recentBytes);
    const failed = (error: unknown) => this.#fatal(error);
    const send = (to: NodeId, message: Message) => this.#deliver(to, message);
    this.#storage = new StoragePump({
      log,
      clock,
      metrics: this.#metrics,
      send,
      persisted: (write) => this.#arrive({ kind: 'persisted', write }),
      failed,
    });
    this.#appends = new AppendPump({
      ring: this.#ring,
      log,
      maxFrameBytes: limits.maxFrameBytes,
      send: (to, message) => this.#transmit(to, message),
      leads: (term) => this.#leadership.leads(term),
      tooOld: (peer, index) => parts.logger.debug({ peer, index }, 'a peer asks for entries that are no longer kept'),
      failed,
    });
    this.#compaction = new JournalCompaction(
      {
        ...parts,
        flushed: () => state.flushed,
        compacted: (base) => this.#arrive({ kind: 'compacted', base }),
        failed,
      },
      state.applied,
    );
    this.#snapshots = new SnapshotExchange({
      ...parts,
      ...parts.snapshots,
      now: () => ({ ...this.#raft.status(), membership: this.committed.membership }),
      barrier: () => this.patientBarrier(),
      pin: (index) => this.#compaction.pin(index),
      ended: (event) => this.#arrive(event),
    });
    this.#apply = new ApplyPump({
      state,
      ring: this.#ring,
      log,
      clock,
      applied: (entry, applied) => this.#applied(entry, applied),
      sliced: (entries, ms) => this.#sliced(entries, ms),
      failed,
    });
    exposeJournal(parts.metrics, {
      raft: this.#raft,
      waiters: this.#waiters,
      reads: this.#reads,
      ring: this.#ring,
      storage: this.#storage,
      appends: this.#appends,
      apply: this.#apply,
      state,
      arriving: () => this.#inbox.length + this.#proposals.length,
    });
    const arrive = (event: Event) => this.#arrive(event);
    const connect = (addresses: ReadonlyMap<NodeId, string>) => this.#transport.setPeers(addresses);
    this.#membership = new JournalMembership({ ...parts, arrive, connect }, this.status().membership, membership);
    this.#transport = parts.connect(this, addressesIn(this.members));
    this.#ticker = journalTicker(parts, this.#metrics, () => this.#tick());
    this.#schedule();
  }

  // --- ReplicatedState

  propose(command: Command, by: { readonly principal: Caller; readonly requestId?: RequestId }): Promise<Outcome> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (this.#leadership.role !== 'leader') return Promise.reject(this.#notLeader(this.#leadership.leader));
    const waiting = this.#waiters.size + this.#proposers.length;
    if (waiting >= MAX_WAITING) return Promise.reject(overloaded(waiting));
    const bytes = stampedCommand(command, by, this.#parts.clock.wallMs());
    return new Promise((resolve, reject) => {
      this.#metrics.stages.came();
      this.#lastProposal += 1;
      this.#proposals.push({ id: this.#lastProposal, bytes });
      this.#proposers.push({ resolve, reject });
      this.#schedule();
    });
  }

  barrier(): Promise<void> {
    this.#barrier ??= this.#freshness(false);
    return this.#barrier;
  }

  /** As `barrier`, however long this master takes to get there; `named` hears how far that is. */
  patientBarrier(named?: (index: LogIndex) => void): Promise<void> {
    return this.#freshness(true, named);
  }

  #freshness(patient: boolean, named?: (index: LogIndex) => void): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return new Promise((resolve, reject) => {
      this.#reads.add({ resolve, reject, patient, named });
      this.#schedule();
    });
  }

  leadership(): Leadership {
    return this.#leadership.now;
  }

  quorum(): QuorumInfo {
    return quorumInfo({
      clusterId: this.state.clusterId,
      status: this.#raft.status(),
      appliedIndex: this.state.applied.index,
      sinceHeardMs: (peer) => this.#metrics.contacts.silenceMs(peer),
    });
  }

  /** The membership that is in force, committed or not. */
  get members(): Membership {
    return this.#membership.current;
  }

  status(): RaftStatus {
    return this.#raft.status();
  }

  /** See `JournalMembership`. */
  changeMembership(target: MembershipTarget, basedOn: LogIndex): Promise<void> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    return this.#membership.change(target, basedOn);
  }

  /** The last committed membership. */
  get committed(): CommittedMembership {
    return { membership: this.state.membership ?? this.#parts.birth, applied: this.state.applied.index };
  }

  subscribe(listener: StateListener): () => void {
    return this.#listeners.add(listener);
  }

  transferLeadership(to: NodeId | undefined): Promise<NodeId> {
    if (this.#stopped !== undefined) return Promise.reject(this.#stopped);
    if (this.#leadership.role !== 'leader') return Promise.reject(this.#notLeader(this.#leadership.leader));
    const parts = {
      ...this.#parts,
      electionTicks: this.#parts.limits.electionTicks,
      status: () => this.#raft.status(),
      subscribe: (listener: StateListener) => this.subscribe(listener),
      begin: (successor: NodeId) => this.#arrive({ kind: 'transferLeadership', to: successor }),
    };
    return transferLeadership(parts, to);
  }

  /** Stops for ever because of an error elsewhere, e.g. of the state store's disk; tells `onFatal`. */
  fail(error: SluiceError): void {
    this.#fatal(error);
  }

  /** Snapshots of this master, for others and for backups. */
  get snapshots(): SnapshotReader {
    return this.#snapshots.source;
  }

  // --- TransportListener

  receive(from: NodeId, message: Message): void {
    this.#metrics.contacts.heard(from, message);
    this.#arrive({ kind: 'receive', from, message });
  }

  peerReachable(peer: NodeId): void {
    this.#metrics.contacts.connected(peer);
    this.#arrive({ kind: 'peerReachable', peer });
  }

  peerUnreachable(peer: NodeId): void {
    this.#arrive({ kind: 'peerUnreachable', peer });
  }

  /**
   * Stops, then flushes and closes the state and the log. Who still waits is told that the fate is unknown.
   * Idempotent.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await handOver(this, this.#parts.logger);
    this.#stop(stopped(this.#name, 'is closing'), 'This master is closing');
    await this.#storage.idle();
    await this.#compaction.idle();
    await this.#snapshots.close();
    await this.#installing;
    try {
      await this.state.close();
    } finally {
      await this.#parts.log.close();
    }
  }

  // --- The turn

  #tick(): void {
    this.#arrive({ kind: 'tick' });
    // Only the leader has nobody to send its readers to; when its disk holds its state up, it gives up leadership.
    if (this.#leadership.role !== 'leader')
      this.#reads.expire(READ_PATIENCE_MS, () => this.#notLeader(this.#leadership.leader, behind));
  }

  #arrive(event: Event): void {
    this.#inbox.push(event);
    this.#schedule();
  }

  /** The turn comes after the network has been read once more, so that it finds everything that is there. */
  #schedule(): void {
    if (this.#scheduled || this.#stopped !== undefined) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#stopped === undefined) this.#turn();
    });
  }

  #turn(): void {
    const began = this.#parts.clock.monotonicMs();
    const events = this.#inbox;
    this.#inbox = [];
    const proposals = this.#proposals;
    const proposers = this.#proposers;
    const { last } = this.#waiters;
    if (proposals.length > 0) {
      this.#proposals = [];
      this.#proposers = [];
      events.push({ kind: 'propose', proposals });
    }
    this.#barrier = undefined;
    const token = this.#reads.ask();
    if (token !== undefined) events.push({ kind: 'read', token });
    try {
      const firstProposal = proposals[0]?.id ?? 0;
      for (const effect of this.#raft.stepAll(events, began)) this.#perform(effect, firstProposal, proposers);
      if (events.some((event) => event.kind === 'persisted')) this.#ring.markDurable(this.#raft.log.durable);
    } catch (thrown) {
      this.#fatal(thrown);
      for (const proposer of proposers) proposer.reject(unknownFate('This master has failed'));
      return;
    }
    this.#metrics.stages.turned(this.#waiters, last, began, this.#raft.log);
    this.#apply.run();
    this.#metrics.turned(events.length, proposals.length, this.#parts.clock.monotonicMs() - began);
  }

  #perform(effect: Effect, firstProposal: ProposalId, proposers: readonly Waiter[]): void {
    switch (effect.kind) {
      case 'stage':
        this.#ring.stage(effect.entries, effect.truncateFrom);
        break;
      case 'write':
        this.#storage.write(effect);
        break;
      case 'send':
        if (effect.after === undefined) this.#deliver(effect.to, effect.message);
        else this.#storage.hold(effect.after, effect.to, effect.message);
        break;
      case 'apply':
        this.#apply.extend(effect.to);
        break;
      case 'readReady':
        this.#reads.answered(effect.token, effect.index);
        this.#reads.applied(this.state.applied.index);
        break;
      case 'readFailed':
        this.#reads.failed(effect.token, this.#notLeader(effect.leader));
        break;
      case 'settle': {
        const proposer = must(proposers[effect.proposal - firstProposal], 'Each proposal has a proposer');
        if (effect.fate === 'accepted') this.#waiters.add(effect.at, proposer);
        else this.#drop(proposer, effect.reason, effect.leader);
        break;
      }
      case 'fetchSnapshot':
        this.#snapshots.fetch(effect.from);
        break;
      case 'installSnapshot':
        this.#installing = this.#install(effect).catch((thrown: unknown) => this.#fatal(thrown));
        break;
      case 'discardSnapshot':
        this.#snapshots.discard();
        break;
      case 'membershipSettled':
        this.#membership.settled(effect, () => this.#notLeader(effect.fate === 'dropped' ? effect.leader : undefined));
        break;
      case 'membershipChanged':
        this.#membership.changed(effect.membership, effect.at);
        break;
      case 'roleChanged':
        this.#roleChanged(effect.role, effect.term, effect.leader);
        break;
      case 'handingOver':
        this.#leadership.handOver(effect.to);
        break;
      case 'halt':
        throw new SluiceError('INTERNAL', `The journal broke a promise and stops: ${effect.reason}`);
    }
  }

  #deliver(to: NodeId, message: Message): void {
    if (message.kind === 'append') this.#appends.send(to, message);
    else this.#transmit(to, message);
  }

  #transmit(to: NodeId, message: Message): void {
    if (this.#stopped !== undefined) return;
    this.#metrics.contacts.sent(to, message);
    this.#transport.send(to, message);
  }

  #drop(proposer: Waiter, reason: DropReason, leader: NodeId | undefined): void {
    this.#metrics.dropped();
    proposer.reject(reason === 'overloaded' ? overloaded(this.#waiters.size) : this.#notLeader(leader));
  }

  #roleChanged(role: Role, term: number, leader: NodeId | undefined): void {
    const wasLeader = this.#leadership.role === 'leader';
    if (wasLeader && !(role === 'leader' && this.#leadership.leads(term))) {
      const lost = this.#waiters.clear();
      this.#metrics.lost(lost.length);
      this.#metrics.stages.clear();
      for (const waiter of lost) waiter.reject(unknownFate(`Master ${this.#name} has lost leadership`));
      this.#membership.lost(`Master ${this.#name} has lost leadership`);
      // They wait for entries that this master could not even write while it led.
      this.#reads.expire(0, () => this.#notLeader(leader));
    }
    this.#metrics.roleChanged(role);
    this.#parts.logger.info({ role, term, leader }, 'role changed');
    this.#leadership.change(role, term, leader);
  }

  // --- What was applied

  #applied(entry: Entry, applied: Applied | undefined): void {
    this.#listeners.applied(entry.index, applied?.notices ?? []);
    if (entry.kind === 'noop' && this.#leadership.leads(entry.term)) this.#leadership.begin();
    const settled = this.#waiters.applied(entry);
    if (settled !== undefined) {
      if (!settled.same) settled.waiter.reject(this.#notLeader(this.#leadership.leader));
      else settled.waiter.resolve(must(applied, 'Only commands are waited for').outcome);
    }
    this.#membership.applied(entry);
    this.#compaction.applied(entry);
  }

  #sliced(entries: number, ms: number): void {
    this.#metrics.applied(entries, ms);
    const { index } = this.state.applied;
    this.#reads.applied(index);
    this.#metrics.stages.applied(index);
    // Not urgent: it travels with the next turn.
    this.#inbox.push({ kind: 'applied', index });
  }

  /** Another master's state takes the place of this one's; until that is told, the core asks for nothing else. */
  async #install({ meta, keepLog }: Extract<Effect, { kind: 'installSnapshot' }>): Promise<void> {
    const { position } = meta;
    this.#apply.suspend();
    await this.#compaction.idle();
    await this.#snapshots.install(meta, keepLog);
    if (!keepLog) this.#ring.restart(position.index);
    this.#compaction.restart(position);
    this.#apply.restart();
    this.#listeners.replaced(position.index);
    this.#reads.applied(position.index);
    this.#membership.restored(meta.membership);
    this.#arrive({ kind: 'snapshotInstalled', meta });
  }

  // --- Trouble

  get #name(): string {
    return memberName(this.#parts.id);
  }

  #notLeader(leader: NodeId | undefined, error = notLeader): SluiceError {
    return error(this.#name, leader, clientAddressIn(this.members, leader));
  }

  #fatal(thrown: unknown): void {
    if (this.#stopped !== undefined) return;
    const error = SluiceError.from(thrown);
    this.#stop(stopped(this.#name, `has failed (${error.message})`), 'This master has failed');
    this.#parts.logger.error({ err: error }, 'journal stopped');
    this.#parts.onFatal(error);
  }

  #stop(refusal: SluiceError, why: string): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = refusal;
    this.#ticker.stop();
    this.#apply.stop();
    this.#reads.failAll(refusal);
    for (const proposer of this.#proposers) proposer.reject(refusal);
    this.#proposers = [];
    for (const waiter of this.#waiters.clear()) waiter.reject(unknownFate(why));
    this.#membership.stop(why);
    this.#leadership.end();
  }
}
