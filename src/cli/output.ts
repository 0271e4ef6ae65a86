import { once } from 'node:events';
import { formatTable, type Row } from './table.ts';
import type { TextStream } from './world.ts';

/** Writes what a command has to say, no faster than it is read. */
export class Output {
  readonly #stream: TextStream;
  readonly #signal: AbortSignal;

  constructor(stream: TextStream, signal: AbortSignal) {
    this.#stream = stream;
    this.#signal = signal;
  }

  /** Characters of a line on a terminal; undefined elsewhere, where nothing is cut. */
  get columns(): number | undefined {
    return this.#stream.isTTY === true ? this.#stream.columns : undefined;
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (bytes.length === 0 || this.#stream.write(bytes) || this.#stream.destroyed) return;
    await once(this.#stream, 'drain', { signal: this.#signal });
  }

  lines(lines: readonly string[]): Promise<void> {
    return this.write(lines.map((line) => `${line}\n`).join(''));
  }

  /** One JSON object per line. */
  json(...values: readonly unknown[]): Promise<void> {
    return this.lines(values.map((value) => JSON.stringify(value)));
  }

  /** Rows in columns, cut to the width of a terminal. The first row is the heading. */
  table(rows: readonly Row[]): Promise<void> {
    return this.lines(formatTable(rows, this.columns));
  }
}
