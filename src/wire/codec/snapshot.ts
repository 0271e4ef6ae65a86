import { SluiceError } from '../../model/errors.ts';
import {
  CloseSnapshotRequest,
  OpenSnapshotRequest,
  OpenSnapshotResponse,
  ReadSnapshotRequest,
  ReadSnapshotResponse,
} from '../gen/sluice/v1/snapshot.ts';
import type { SnapshotChunk, SnapshotHeader } from '../snapshot-reader.ts';
import { messageCodec } from './codec.ts';

/** A `SnapshotOrder`, and the cluster whose master shall take it; empty: any. */
export const OPEN_REQUEST = messageCodec(
  OpenSnapshotRequest,
  (order: { readonly clusterId: string; readonly resume: string; readonly latest: boolean }) => order,
  (message) => message,
);

export const OPEN_REPLY = messageCodec(
  OpenSnapshotResponse,
  ({ meta, ...header }: SnapshotHeader) => {
    const { position, term, membership } = meta;
    return { ...header, index: position.index, indexTerm: position.term, term, membership };
  },
  ({ id, clusterId, index, indexTerm, term, membership, expectedRows }): SnapshotHeader => {
    if (membership === undefined) throw new SluiceError('INVALID_ARGUMENT', 'Missing: the members of a snapshot');
    return { id, clusterId, meta: { position: { term: indexTerm, index }, term, membership }, expectedRows };
  },
);

export const READ_REQUEST = messageCodec(
  ReadSnapshotRequest,
  (place: { readonly id: string; readonly after: string }) => place,
  (message) => message,
);

export const READ_REPLY = messageCodec(
  ReadSnapshotResponse,
  ({ rows, chain, last }: SnapshotChunk) => ({
    rows: Buffer.from(rows.buffer, rows.byteOffset, rows.length),
    chain,
    last,
  }),
  (message): SnapshotChunk => message,
);

export const CLOSE_REQUEST = messageCodec(
  CloseSnapshotRequest,
  (id: string) => ({ id }),
  ({ id }) => id,
);
