import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Effect } from '../../src/raft/effect.ts';
import type { Event } from '../../src/raft/event.ts';
import { encodeMembership } from '../../src/raft/membership-codec.ts';
import type { Message } from '../../src/raft/message.ts';
import { append, at, Node } from './cluster.ts';

const small = fc.nat({ max: 6 });
const position = fc.tuple(small, small).map(([term, index]) => at(term, index));
const flag = fc.boolean();
const node = fc.constantFrom('a', 'b', 'c', 'd', 'stranger');
const nodes = fc.subarray(['a', 'b', 'c', 'd']);
const memberships = fc
  .record({ voters: nodes, outgoing: nodes, learners: nodes })
  .map((sets) => ({ ...sets, members: [] }));
/** What the entries of an append are: commands, memberships, or bytes that should be one. */
const content = fc.oneof(
  fc.constant({}),
  memberships.map((membership) => ({ kind: 'config' as const, bytes: encodeMembership(membership) })),
  { weight: 1, arbitrary: fc.constant({ kind: 'config' as const }) },
);
const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant('preVote' as const), term: small, last: position }),
  fc.record({ kind: fc.constant('preVoteReply' as const), term: small, granted: flag, commit: small }),
  fc.record({ kind: fc.constant('vote' as const), term: small, last: position, transfer: flag }),
  fc.record({ kind: fc.constant('voteReply' as const), term: small, granted: flag, commit: small }),
  fc
    .tuple(small, position, fc.array(fc.tuple(small, content), { maxLength: 3 }), small, small)
    .map(([term, previous, entries, commit, read]) => {
      const message = append(
        term,
        previous,
        entries.map(([entryTerm]) => entryTerm),
        commit,
        read,
      );
      return { ...message, entries: message.entries.map((entry, i) => ({ ...entry, ...entries[i]?.[1] })) };
    }),
  fc.record({ kind: fc.constant('appendReply' as const), term: small, match: small, readPosition: small }),
  fc.record({
    kind: fc.constant('appendReject' as const),
    term: small,
    rejected: small,
    hint: position,
    readPosition: small,
  }),
  fc.record({ kind: fc.constant('heartbeat' as const), term: small, commit: small, readPosition: small }),
  fc.record({ kind: fc.constant('heartbeatReply' as const), term: small, readPosition: small }),
  fc.record({ kind: fc.constant('snapshotOffer' as const), term: small, base: position, readPosition: small }),
  fc.record({ kind: fc.constant('readIndex' as const), term: small, token: small }),
  fc.record({ kind: fc.constant('readIndexReply' as const), term: small, token: small, index: small, ok: flag }),
  fc.record({ kind: fc.constant('timeoutNow' as const), term: small }),
);
/** What a driver may say at any time. */
const events: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant('tick' as const) }),
  fc.record({ kind: fc.constant('read' as const), token: small }),
  fc.record({ kind: fc.constant('transferLeadership' as const), to: node }),
  fc.record({
    kind: fc.constant('changeMembership' as const),
    id: small,
    target: memberships.map(({ voters, learners, members }) => ({ voters, learners, members })),
    basedOn: small,
  }),
  fc.record({
    kind: fc.constant('changeMembership' as const),
    id: small,
    target: memberships.map(({ voters, learners, members }) => ({ voters, learners, members })),
  }),
  fc.record({
    kind: fc.constant('snapshotFetched' as const),
    meta: fc.record({ position, term: small, membership: memberships }),
  }),
  fc.record({ kind: fc.constant('snapshotFailed' as const) }),
  fc.record({ kind: fc.constantFrom('peerUnreachable' as const, 'peerReachable' as const), peer: node }),
);

/** Which of the events that answer effects come; what they say follows from the effects. */
const answers = fc.constantFrom('timeout', 'propose', 'lead', 'applied', 'compacted', 'installed', 'persist');

class Driven {
  readonly node: Node;
  #installing: Extract<Effect, { kind: 'installSnapshot' }> | undefined;
  #seen = 0;
  #issued = 0;

  constructor(slowDisk: boolean) {
    this.node = new Node('a', ['a', 'b', 'c'], { log: [1, 1, 2], slowDisk });
  }

  get halted(): boolean {
    return this.node.effects.at(-1)?.kind === 'halt';
  }

  answer(what: string): void {
    const { node } = this;
    const { term, applied, base } = node.status;
    this.#look();
    switch (what) {
      case 'timeout':
        node.tick(20);
        break;
      case 'propose':
        node.propose();
        break;
      case 'lead':
        node.tick(20).receive('b', { kind: 'preVoteReply', term: term + 1, granted: true, commit: 0 });
        node.receive('b', { kind: 'voteReply', term: node.status.term, granted: true, commit: 0 });
        break;
      case 'applied':
        node.give({ kind: 'applied', index: this.#issued });
        break;
      case 'compacted': {
        const last = node.entries.find(({ index }) => index === applied);
        if (last !== undefined && applied > base.index)
          node.give({ kind: 'compacted', base: { term: last.term, index: last.index } });
        break;
      }
      case 'installed':
        if (this.#installing === undefined) break;
        if (!this.#installing.keepLog) node.entries.length = 0;
        node.give({ kind: 'snapshotInstalled', meta: this.#installing.meta });
        this.#installing = undefined;
        break;
      case 'persist':
        if (node.writing !== undefined) node.persist();
        break;
    }
    this.#look();
  }

  #look(): void {
    for (const effect of this.node.effects.slice(this.#seen)) {
      if (effect.kind === 'apply') this.#issued = effect.to;
      if (effect.kind === 'installSnapshot') this.#installing = effect;
    }
    this.#seen = this.node.effects.length;
  }
}

test('any message from anybody at any time is obeyed, ignored, or stops the node; none throws', () => {
  const sender = fc.constantFrom('b', 'c', 'd', 'stranger');
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(sender, messages) },
    { weight: 3, arbitrary: answers },
    { weight: 2, arbitrary: events },
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), flag, (actions, slowDisk) => {
      const driven = new Driven(slowDisk);
      const { node } = driven;
      for (const step of actions) {
        if (driven.halted) break;
        if (typeof step === 'string') driven.answer(step);
        else if (Array.isArray(step)) node.receive(...step);
        else node.give(step);
      }
      const { commit, durable, last, base, term } = node.status;
      expect(Math.max(commit, durable)).toBeLessThanOrEqual(last.index);
      if (driven.halted) return;
      expect(base.index).toBeLessThanOrEqual(commit);
      expect(last.term).toBeLessThanOrEqual(term);
      expect(last.index).toBe(node.entries.at(-1)?.index ?? base.index);
    }),
    { numRuns: 1000 },
  );
});
