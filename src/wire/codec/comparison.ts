import { SluiceError } from '../../model/errors.ts';
import type { DigestRound, StateDigest } from '../../model/report.ts';
import { CompareStatesResponse, StatesOutcome } from '../gen/sluice/v1/admin.ts';
import { GetDigestRequest, GetDigestResponse, type StateDigest as StateDigestMessage } from '../gen/sluice/v1/raft.ts';
import { messageCodec } from './codec.ts';
import { WordTable } from './word-table.ts';

const OUTCOMES = new WordTable<DigestRound['outcome'], StatesOutcome>('outcome', {
  same: StatesOutcome.STATES_OUTCOME_SAME,
  different: StatesOutcome.STATES_OUTCOME_DIFFERENT,
  incomplete: StatesOutcome.STATES_OUTCOME_INCOMPLETE,
});

const toDigest = (digest: StateDigest): StateDigestMessage => ({ ...digest, tables: [...digest.tables] });

export const DIGEST_REQUEST = messageCodec(
  GetDigestRequest,
  (asked: { readonly clusterId: string; readonly index: number }) => asked,
  (message) => message,
);

export const DIGEST_REPLY = messageCodec(
  GetDigestResponse,
  (digest: StateDigest) => ({ digest: toDigest(digest) }),
  ({ digest }): StateDigest => {
    if (digest === undefined) throw new SluiceError('INVALID_ARGUMENT', 'Missing: the digest in the reply');
    return digest;
  },
);

export const COMPARISON_REPLY = messageCodec(
  CompareStatesResponse,
  ({ index, outcome, reports }: DigestRound) => ({
    index,
    outcome: OUTCOMES.number(outcome),
    reports: reports.map(({ member, digest, missing = '' }) => ({
      member,
      digest: digest === undefined ? undefined : toDigest(digest),
      missing,
    })),
  }),
  ({ index, outcome, reports }): DigestRound => ({ index, outcome: OUTCOMES.word(outcome), reports }),
);
