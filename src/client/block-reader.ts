import { SluiceError } from '../model/errors.ts';
import type { FileStatus } from '../model/status.ts';
import type { ReadBlock } from '../wire/block-protocol.ts';
import type { ByteRange } from '../wire/block-range.ts';
import type { BlockClient } from './block-client.ts';
import type { BlockRouter, Candidate } from './block-router.ts';

/** Any worker can fetch what the UFS has: after this many failed, a further one is not the cure. */
const MAX_ATTEMPTS = 4;

/** Reads ranges of blocks from whichever worker can give them. */
export class BlockReader {
  readonly #router: BlockRouter;
  readonly #client: BlockClient;

  constructor(router: BlockRouter, client: BlockClient) {
    this.#router = router;
    this.#client = client;
  }

  /**
   * Fills `place` with `range` of the file, which must be inside one block. Persisted content: the block's worker, and
   * the next on the ring when that fails. Content that is only cached: every worker until one has it.
   * @throws SluiceError STALE when the UFS has other content by now, UNAVAILABLE, or CORRUPT when cached content is
   * gone.
   */
  async read(status: FileStatus, range: ByteRange, place: Uint8Array, signal?: AbortSignal): Promise<void> {
    const block = Math.floor(range.start / status.blockSizeBytes);
    const search: Search = { status, range, place, block, signal, failures: new Map() };
    if (await this.#ask(search, await this.#candidates(search))) return;
    if (status.persistence === 'persisted') throw nobody(status, block, [...search.failures.values()]);
    // Before content is called lost, workers that came since the list was fetched are asked too.
    await this.#router.refresh();
    const all = await this.#candidates(search);
    const unasked = all.filter(({ address }) => !search.failures.has(address));
    if (await this.#ask(search, unasked)) return;
    throw lostContent(search, all);
  }

  async #candidates({ status, block }: Search): Promise<readonly Candidate[]> {
    const all = await this.#router.candidates(status.id, block);
    if (status.persistence === 'cached') return all;
    return all.filter((worker) => worker.state === 'live').slice(0, MAX_ATTEMPTS);
  }

  /** Asks one after the other. @returns false when all failed in a way that another may not. */
  async #ask(search: Search, candidates: readonly Candidate[]): Promise<boolean> {
    const { status, range, place, block, signal, failures } = search;
    const request = requestFor(status, block);
    const within = { start: range.start - request.offsetInFile, end: range.end - request.offsetInFile };
    for (const { address } of candidates) {
      try {
        await this.#client.read(address, request, within, place, signal);
        this.#router.reached(address);
        return true;
      } catch (thrown) {
        const error = SluiceError.from(thrown);
        if (error.details['unreachable'] === true) this.#router.failed(address);
        if (!mayHelpElsewhere(error, status)) throw error;
        failures.set(address, error);
      }
    }
    return false;
  }
}

/** A range that is looked for. */
interface Search {
  readonly status: FileStatus;
  readonly range: ByteRange;
  readonly place: Uint8Array;
  readonly block: number;
  readonly signal: AbortSignal | undefined;
  /** What the workers said that could not give it, by address. */
  readonly failures: Map<string, SluiceError>;
}

function requestFor(status: FileStatus, block: number): ReadBlock {
  const offsetInFile = block * status.blockSizeBytes;
  return {
    kind: 'readBlock',
    fileId: status.id,
    block,
    version: status.version,
    blockLength: Math.min(status.blockSizeBytes, status.lengthBytes - offsetInFile),
    offsetInFile,
    ...(status.persistence === 'persisted' ? { mount: status.mountId, path: status.ufsPath } : {}),
  };
}

function mayHelpElsewhere(error: SluiceError, status: FileStatus): boolean {
  if (error.code === 'NOT_FOUND') return status.persistence === 'cached';
  return ['UNAVAILABLE', 'TIMED_OUT', 'CORRUPT', 'EXHAUSTED', 'INTERNAL'].includes(error.code);
}

function nobody(status: FileStatus, block: number, failures: readonly SluiceError[]): SluiceError {
  const last = failures.at(-1);
  if (last === undefined)
    return new SluiceError('UNAVAILABLE', `Cannot read ${status.path}: no worker is live, start one`);
  const tried = failures.map((failure) => failure.message).join('; ');
  const message = `Cannot read block ${block} of ${status.path} from any of ${failures.length} workers: ${tried}`;
  return new SluiceError(last.code, message, { cause: last });
}

/** Tells content that waits for a worker to return from content that is gone. */
function lostContent({ status, block, failures }: Search, candidates: readonly Candidate[]): SluiceError {
  const where = `Block ${block} of ${status.path}, which is only cached (MUST_CACHE),`;
  const silent = candidates.filter(({ address }) => failures.get(address)?.code !== 'NOT_FOUND');
  const said = [...failures.values()];
  const cause = said.find((failure) => failure.code !== 'NOT_FOUND') ?? said[0];
  const options = cause === undefined ? {} : { cause };
  if (candidates.length > 0 && silent.length === 0) {
    const message = `${where} is on none of the ${candidates.length} workers: it is lost, write the file again`;
    return new SluiceError('CORRUPT', message, options);
  }
  const which = silent.map(({ address, state }) => (state === 'lost' ? `${address} (lost)` : address)).join(', ');
  const only = which === '' ? 'that has not come back' : `that cannot be reached, one of ${which}`;
  return new SluiceError('UNAVAILABLE', `${where} has its only copy on a worker ${only}: start that worker`, options);
}
