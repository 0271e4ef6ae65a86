import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import type { FileOperations } from '../host/file-operations.ts';
import { SluiceError } from '../model/errors.ts';
import { ORIGIN } from '../raft/position.ts';
import { decodeSegmentMeta, encodeSegmentMeta, type SegmentMeta } from '../wire/codec/segment-record.ts';
import { WAY_OUT } from './level-log-scan.ts';

const NAMES = ['meta-a', 'meta-b'] as const;
export const SEGMENT_NAME = /^\d{16}-\d{8}\.segment$/;

/** What the meta files of a folder say. */
export interface FoundMeta {
  readonly meta: SegmentMeta;
  /** Both files say it. */
  readonly both: boolean;
}

/** What the meta files of a new journal say. */
export function newSegmentMeta(): SegmentMeta {
  return {
    generation: 1,
    salt: randomInt(1, 2 ** 32),
    sequence: 0,
    ballot: { term: 0, votedFor: undefined },
    commit: 0,
    base: ORIGIN,
    baseChain: 0,
    nextId: 1,
    segments: [],
  };
}

/**
 * Reads the meta files of a folder with these names. @returns undefined when no journal was ever begun there
 * @throws SluiceError CORRUPT when there is a journal and neither file can be read; UNSUPPORTED
 */
export async function readSegmentMeta(
  files: FileOperations,
  folder: string,
  names: readonly string[],
): Promise<FoundMeta | undefined> {
  const found: SegmentMeta[] = [];
  let damage: unknown;
  for (const name of NAMES) {
    if (!names.includes(name)) continue;
    try {
      found.push(decodeSegmentMeta(await contentOf(files, join(folder, name))));
    } catch (thrown) {
      const error = SluiceError.from(thrown);
      if (error.code !== 'CORRUPT') throw error;
      damage = error;
    }
  }
  const [one, other] = found;
  if (one !== undefined)
    return other === undefined
      ? { meta: one, both: false }
      : { meta: one.generation >= other.generation ? one : other, both: one.generation === other.generation };
  // The first of them may be torn when the journal was only just begun: then there is nothing else.
  if (!names.includes(NAMES[1]) && !names.some((name) => SEGMENT_NAME.test(name))) return undefined;
  const what = `its files ${NAMES.join(' and ')} cannot be read`;
  throw new SluiceError('CORRUPT', `Journal ${folder} is damaged (${what}): ${WAY_OUT}`, { cause: damage });
}

/** Writes both meta files, one after the other: a crash tears one at most, and damage of one loses nothing. */
export async function writeSegmentMeta(files: FileOperations, folder: string, meta: SegmentMeta): Promise<void> {
  const bytes = encodeSegmentMeta(meta);
  for (const name of NAMES) {
    const file = await files.open(join(folder, name), 'create');
    try {
      await file.write(bytes, 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

async function contentOf(files: FileOperations, path: string): Promise<Buffer> {
  const file = await files.open(path, 'read');
  try {
    const bytes = Buffer.alloc(await file.size());
    await file.read(bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}
