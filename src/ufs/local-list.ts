import { lstat, opendir } from 'node:fs/promises';
import type { Logger } from '../host/logger.ts';
import type { UfsFact } from '../model/command.ts';
import { compareKeys } from '../model/path.ts';
import { throwIfAborted } from './abort.ts';
import { LeftOut } from './left-out.ts';
import type { AccountNames } from './local-accounts.ts';
import { errnoOf } from './local-errors.ts';
import { localFact } from './local-fact.ts';
import { joinLocal, type LocalRoot } from './local-root.ts';
import { mapBounded } from './map-bounded.ts';
import { childPath, isTemporaryName } from './ufs-path.ts';

const PAGE_ENTRIES = 1000;

/** `lstat`s under way at once; node's thread pool has four threads unless set otherwise. */
const CONCURRENT_STATS = 16;

/** Entries of a directory that node reads at once. */
const READ_ENTRIES = 512;

/** Names that are sorted in memory at once; a larger directory is read again for each further so many. */
export const NAMES_PER_PASS = 100_000;

/** Temporary files that one listing reports at most. */
const MAX_TEMPORARIES = 1000;

/** What decoding leaves of bytes that are not UTF-8. */
const REPLACEMENT = '\ufffd';

export interface LocalListing {
  readonly root: LocalRoot;
  readonly path: string;
  /** Real path of the directory. */
  readonly directory: string;
  readonly accounts: AccountNames;
  readonly logger: Logger;
  readonly signal?: AbortSignal | undefined;
  readonly namesPerPass: number;
}

interface Pass {
  /** Ascending, each once. */
  readonly names: readonly string[];
  /** Whether names behind the last one were seen. */
  readonly more: boolean;
}

/**
 * The children of a directory in order, in bounded memory: each pass over the directory keeps the smallest names behind
 * those of the pass before. `temporaries` receives the names of files that are being written.
 */
export async function* listLocal(listing: LocalListing, temporaries: string[]): AsyncGenerator<readonly UfsFact[]> {
  const leftOut = new LeftOut();
  let after: string | undefined;
  for (;;) {
    const pass: Pass = await smallestNames(listing, after, after === undefined ? temporaries : []);
    for (let at = 0; at < pass.names.length; at += PAGE_ENTRIES) {
      throwIfAborted(listing.signal);
      const names = pass.names.slice(at, at + PAGE_ENTRIES);
      const facts = await mapBounded(names, CONCURRENT_STATS, (name) => lookUp(listing, name, leftOut));
      const page = facts.filter((fact) => fact !== undefined);
      if (page.length > 0) yield page;
    }
    after = pass.names.at(-1);
    if (!pass.more) break;
  }
  leftOut.report(listing.logger, listing.root.shown(listing.path));
}

async function smallestNames(listing: LocalListing, after: string | undefined, temporaries: string[]): Promise<Pass> {
  const limit = listing.namesPerPass;
  let names: string[] = [];
  let last: string | undefined;
  const shrink = (): void => {
    names.sort(compareKeys);
    names = names.filter((name, index) => name !== names[index - 1]);
    if (names.length <= limit) return;
    names.length = limit;
    last = names[limit - 1];
  };
  for await (const { name } of await opendir(listing.directory, { bufferSize: READ_ENTRIES })) {
    throwIfAborted(listing.signal);
    if (isTemporaryName(name)) {
      if (temporaries.length < MAX_TEMPORARIES) temporaries.push(name);
      continue;
    }
    if (after !== undefined && compareKeys(name, after) <= 0) continue;
    if (last !== undefined && compareKeys(name, last) > 0) continue;
    names.push(name);
    if (names.length >= limit * 2) shrink();
  }
  shrink();
  return { names, more: last !== undefined };
}

async function lookUp(listing: LocalListing, name: string, leftOut: LeftOut): Promise<UfsFact | undefined> {
  try {
    const stats = await lstat(joinLocal(listing.directory, name), { bigint: true });
    if (!stats.isSymbolicLink()) return shown(localFact(name, stats, listing.accounts), name, leftOut);
  } catch (thrown) {
    // A name that is not UTF-8 was decoded to another one, which does not exist. Otherwise the entry has just vanished.
    const errno = errnoOf(thrown);
    if (errno !== 'ENOENT' && errno !== 'ENAMETOOLONG') throw thrown;
    if (name.includes(REPLACEMENT)) leftOut.add('name is not UTF-8', name);
    return undefined;
  }
  const target = await listing.root.find(childPath(listing.path, name));
  if (target !== undefined) return shown(localFact(name, target.stats, listing.accounts), name, leftOut);
  leftOut.add('link leaves the root, leads nowhere or back', name);
  return undefined;
}

function shown(fact: UfsFact | undefined, name: string, leftOut: LeftOut): UfsFact | undefined {
  if (fact === undefined) leftOut.add('neither file nor directory', name);
  return fact;
}
