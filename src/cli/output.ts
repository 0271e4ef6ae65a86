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

  /** On a terminal, control characters in a line (names may have any) are shown, not obeyed. */
  lines(lines: readonly string[]): Promise<void> {
    const shown = this.#stream.isTTY === true ? lines.map(visible) : lines;
    return this.write(shown.map((line) => `${line}\n`).join(''));
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

/** All but tabs as JavaScript would write them. */
function visible(line: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
  return line.replaceAll(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.charCodeAt(0);
    return code === 0x0a ? '\\n' : `\\x${code.toString(16).padStart(2, '0')}`;
  });
}
