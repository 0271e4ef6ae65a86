import type { Hash } from 'node:crypto';
import type { TableName } from '../model/state-store.ts';
import type { Membership } from '../raft/membership.ts';
import type { Position, Term } from '../raft/position.ts';
import { TABLE_LETTERS, TABLES_BY_LETTER } from './state-keys.ts';

/** Layout of backups that this version writes. */
export const BACKUP_FORMAT = 1;

/** The last file of a backup. The others are its chunks: rows of the state, in key order. */
export const MANIFEST_NAME = 'manifest.json';

/** What a backup says of itself. */
export interface BackupManifest {
  readonly format: number;
  /** Of the cluster that it was made of. */
  readonly clusterId: string;
  /** The last entry of the journal whose changes are in it. */
  readonly position: Position;
  /** The term that the master was in. */
  readonly term: Term;
  /** The masters as of `position`. */
  readonly membership: Membership;
  readonly chunks: number;
  readonly rows: number;
  /** Rows of each table. */
  readonly tables: Readonly<Record<string, number>>;
  /** Of all chunks together. */
  readonly bytes: number;
  /** Of the chunks one behind the other, and of everything else in the manifest behind them. */
  readonly sha256: string;
}

/** The digest of a backup. @param chunks it has been updated with these */
export function digestOfBackup(chunks: Hash, facts: Omit<BackupManifest, 'sha256'>): string {
  return chunks.update(JSON.stringify(facts)).digest('hex');
}

const TABLES: ReadonlyMap<string, TableName> = new Map(TABLES_BY_LETTER.map((table) => [TABLE_LETTERS[table], table]));

/** Name of a chunk in the tar file; they count from 1. */
export function chunkName(number: number): string {
  return `rows/${String(number).padStart(8, '0')}`;
}

/** The table that a row of this key belongs to; empty when to none. */
export function tableOfRow(key: string): TableName | '' {
  return TABLES.get(key.slice(0, 1)) ?? '';
}
