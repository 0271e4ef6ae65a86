import type { FileReader } from '../../../client/file-reader.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { size, wholeNumber } from '../../numbers.ts';

interface TailOptions {
  readonly bytes?: string;
  readonly lines?: string;
}

const LINES = '10';
const NEWLINE = 0x0a;
/** Bytes that are searched for line ends at a time, from the end. */
const STEP = 256 * 1024;

/** `sluice fs tail`. */
export const tailCommand: CommandSpec<TailOptions> = {
  name: 'tail',
  summary: 'print the end of a file',
  arguments: [['<path>', 'file to print']],
  options: [
    ['-c, --bytes <size>', 'so many bytes, such as 4KiB'],
    ['-n, --lines <count>', `so many lines, ${LINES} by default`],
  ],
  async run(context, [path = ''], options) {
    const bytes = options.bytes === undefined ? undefined : size('--bytes', options.bytes);
    const lines = wholeNumber('--lines', options.lines ?? LINES);
    const reader = await (await context.files()).open(path, { signal: context.signal });
    const { lengthBytes } = reader.status;
    const start = bytes === undefined ? await startOfLines(reader, lines) : Math.max(0, lengthBytes - bytes);
    for await (const piece of reader.stream({ start, signal: context.signal })) await context.out.write(piece);
    return 0;
  },
};

/** Where the last `lines` lines begin; a line end at the very end of the file ends the last one. */
async function startOfLines(reader: FileReader, lines: number): Promise<number> {
  const { lengthBytes } = reader.status;
  if (lines === 0) return lengthBytes;
  let found = 0;
  for (let end = lengthBytes; end > 0; ) {
    const start = Math.max(0, end - STEP);
    const bytes = await reader.read(start, end - start);
    for (let i = bytes.length - 1; i >= 0; i--) {
      if (bytes[i] !== NEWLINE || start + i === lengthBytes - 1) continue;
      found += 1;
      if (found === lines) return start + i + 1;
    }
    end = start;
  }
  return 0;
}
