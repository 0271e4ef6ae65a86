import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Message } from '../../src/raft/message.ts';
import { append, at, Node } from './cluster.ts';

const small = fc.nat({ max: 6 });
const position = fc.tuple(small, small).map(([term, index]) => at(term, index));
const flag = fc.boolean();
const messages: fc.Arbitrary<Message> = fc.oneof(
  fc.record({ kind: fc.constant('preVote' as const), term: small, last: position }),
  fc.record({ kind: fc.constant('preVoteReply' as const), term: small, granted: flag, commit: small }),
  fc.record({ kind: fc.constant('vote' as const), term: small, last: position, transfer: flag }),
  fc.record({ kind: fc.constant('voteReply' as const), term: small, granted: flag, commit: small }),
  fc
    .tuple(small, position, fc.array(small, { maxLength: 3 }), small, small)
    .map(([term, previous, terms, commit, read]) => append(term, previous, terms, commit, read)),
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
  fc.record({ kind: fc.constant('readIndex' as const), term: small, token: small }),
  fc.record({ kind: fc.constant('readIndexReply' as const), term: small, token: small, index: small, ok: flag }),
  fc.record({ kind: fc.constant('timeoutNow' as const), term: small }),
);

test('any message from anybody at any time is obeyed, ignored, or stops the node; none throws', () => {
  const sender = fc.constantFrom('b', 'c', 'stranger');
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.tuple(sender, messages) },
    { weight: 1, arbitrary: fc.constant('timeout' as const) },
    { weight: 1, arbitrary: fc.constant('propose' as const) },
    { weight: 1, arbitrary: fc.constant('read' as const) },
    { weight: 1, arbitrary: fc.constant('lead' as const) },
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const node = new Node('a', ['a', 'b', 'c'], { log: [1, 1, 2] });
      for (const [i, step] of actions.entries()) {
        if (node.effects.at(-1)?.kind === 'halt') break;
        if (step === 'timeout') node.tick(20);
        else if (step === 'propose') node.propose();
        else if (step === 'read') node.give({ kind: 'read', token: i });
        else if (step === 'lead') {
          const { term } = node.tick(20).status;
          node.receive('b', { kind: 'preVoteReply', term: term + 1, granted: true, commit: 0 });
          node.receive('b', { kind: 'voteReply', term: term + 1, granted: true, commit: 0 });
        } else node.receive(...step);
      }
      const { commit, durable, last, term } = node.status;
      expect(Math.max(commit, durable)).toBeLessThanOrEqual(last.index);
      expect(last.term).toBeLessThanOrEqual(term);
      expect(last.index).toBe(node.entries.length);
    }),
    { numRuns: 1000 },
  );
});
