/** A piece of a file that is being written. */
export interface Chunk {
  readonly block: number;
  /** Where it begins in its block: a multiple of MAX_PAGE_SIZE_BYTES. */
  readonly offset: number;
  /** Ends at such a multiple, at the end of the block, or at the end of the file. */
  readonly bytes: Uint8Array;
}

/** How a content is named when all of it is written. */
export interface WrittenContent {
  /** Version that the UFS gave; empty for content that is only cached. */
  readonly ufsVersion: string;
  /** -1 when there is none. */
  readonly ufsModifiedMs: number;
}

/** Where the chunks of one file go. Methods are called one after the other; after a failure only `abort`. */
export interface BlockSink {
  /** Resolves when the chunk is safe as far as the sink promises. Chunks come in order, without gaps. */
  append(chunk: Chunk): Promise<void>;
  /** All chunks were appended. */
  finish(lengthBytes: number): Promise<WrittenContent>;
  /** The masters show the file: what is left to do must not fail the write. */
  published(content: WrittenContent): Promise<void>;
  /** Removes what was written, as far as it can be reached. */
  abort(): Promise<void>;
}
