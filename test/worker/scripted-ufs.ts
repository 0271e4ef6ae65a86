import type { UfsFact } from '../../src/model/command.ts';
import { SluiceError } from '../../src/model/errors.ts';
import type { Ufs, UfsReadRange, UfsWriter } from '../../src/ufs/ufs.ts';

interface StoredFile {
  readonly bytes: Uint8Array;
  readonly version: string;
}

/** Files in memory; counts reads, and can hold them back, cut them short or fail them. */
export class ScriptedUfs implements Ufs {
  readonly uri = 'scripted://files';
  readonly files = new Map<string, StoredFile>();
  readonly reads: { path: string; offset: number; lengthBytes: number }[] = [];
  /** Bytes that the next reads deliver before they end, in order; then reads are whole again. */
  readonly cuts: number[] = [];
  readonly failures: SluiceError[] = [];
  /** Reads wait for it. */
  gate: Promise<void> = Promise.resolve();
  chunkBytes = 777;
  deliveredBytes = 0;
  writers = 0;
  aborted = 0;
  closed = 0;
  failWritesAfter = Number.POSITIVE_INFINITY;
  failCompletion = false;
  /** Writes wait for it. */
  writeGate: Promise<void> = Promise.resolve();
  #versions = 0;

  put(path: string, bytes: Uint8Array): string {
    this.#versions += 1;
    const version = `"etag-${this.#versions}"`;
    this.files.set(path, { bytes, version });
    return version;
  }

  async *read(path: string, range: UfsReadRange): AsyncIterable<Uint8Array> {
    this.reads.push({ path, offset: range.offset, lengthBytes: range.lengthBytes });
    const listen = (): void => undefined;
    // As an S3 client does while it waits for its answer.
    range.signal?.addEventListener('abort', listen);
    await this.gate;
    range.signal?.removeEventListener('abort', listen);
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    const file = this.files.get(path);
    if (file === undefined) throw new SluiceError('NOT_FOUND', `${path} is not there`);
    if (range.version !== '' && range.version !== file.version)
      throw new SluiceError('STALE', `${path} has version ${file.version}, not ${range.version}`);
    const end = Math.min(
      range.offset + Math.min(range.lengthBytes, this.cuts.shift() ?? range.lengthBytes),
      file.bytes.length,
    );
    for (let at = range.offset; at < end; at += this.chunkBytes) {
      const chunk = file.bytes.slice(at, Math.min(end, at + this.chunkBytes));
      this.deliveredBytes += chunk.length;
      yield chunk;
    }
  }

  async create(path: string): Promise<UfsWriter> {
    this.writers += 1;
    const parts: Uint8Array[] = [];
    let written = 0;
    return {
      write: async (chunk) => {
        await this.writeGate;
        written += chunk.length;
        if (written > this.failWritesAfter) throw new SluiceError('UNAVAILABLE', 'the storage is gone');
        parts.push(chunk.slice());
      },
      complete: async () => {
        if (this.failCompletion) throw new SluiceError('UNAVAILABLE', 'the storage is gone');
        const bytes = Buffer.concat(parts);
        const version = this.put(path, bytes);
        return { name: path, kind: 'file', lengthBytes: bytes.length, version, modifiedMs: 1234 };
      },
      abort: async () => {
        this.aborted += 1;
      },
    };
  }

  async check(): Promise<void> {}

  async stat(): Promise<UfsFact | undefined> {
    return undefined;
  }

  async *list(): AsyncIterable<readonly UfsFact[]> {}

  async makeDirectory(): Promise<void> {}

  async delete(): Promise<void> {}

  async rename(): Promise<UfsFact> {
    throw new SluiceError('UNSUPPORTED', 'not scripted');
  }

  async setAttributes(): Promise<void> {}

  async close(): Promise<void> {
    this.closed += 1;
  }
}
