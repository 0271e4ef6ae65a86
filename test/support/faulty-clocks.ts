import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { compileLibrary } from './preloaded-library.ts';

const NANOSECONDS = 1_000_000n;

/** Wall clocks that jump on command, by a library that is preloaded into the processes. */
export class FaultyClocks {
  readonly #folder: string;
  readonly #library: string;

  private constructor(folder: string, library: string) {
    this.#folder = folder;
    this.#library = library;
  }

  /** Compiles the library. @param folder for it, and for what the clocks show */
  static make(folder: string): FaultyClocks {
    return new FaultyClocks(folder, compileLibrary('faulty-clock', folder));
  }

  /** What the process `name` must be started with; its clock is right. */
  own(name: string): { readonly environment: Readonly<Record<string, string>> } {
    writeFileSync(this.#shown(name), Buffer.alloc(8));
    return { environment: { LD_PRELOAD: this.#library, FAULTY_CLOCK: this.#shown(name) } };
  }

  /** From now on the clock of a process is so far ahead of the right time; 0 puts it right. */
  set(name: string, aheadMs: number): void {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(Math.round(aheadMs)) * NANOSECONDS);
    const file = openSync(this.#shown(name), 'r+');
    try {
      writeSync(file, bytes, 0, bytes.length, 0);
    } finally {
      closeSync(file);
    }
  }

  #shown(name: string): string {
    return join(this.#folder, `${name}.clock`);
  }
}
