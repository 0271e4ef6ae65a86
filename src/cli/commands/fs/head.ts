import type { CommandSpec } from '../../command-spec.ts';
import { size, wholeNumber } from '../../numbers.ts';

interface HeadOptions {
  readonly bytes?: string;
  readonly lines?: string;
}

const LINES = '10';
const NEWLINE = 0x0a;

/** `sluice fs head`. */
export const headCommand: CommandSpec<HeadOptions> = {
  name: 'head',
  summary: 'print the beginning of a file',
  arguments: [['<path>', 'file to print']],
  options: [
    ['-c, --bytes <size>', 'so many bytes, such as 4KiB'],
    ['-n, --lines <count>', `so many lines, ${LINES} by default`],
  ],
  async run(context, [path = ''], options) {
    const end = options.bytes === undefined ? undefined : size('--bytes', options.bytes);
    let lines = wholeNumber('--lines', options.lines ?? LINES);
    const reader = await (await context.files()).open(path, { signal: context.signal });
    const stream = reader.stream({ signal: context.signal, ...(end === undefined ? {} : { end }) });
    for await (const bytes of stream) {
      if (end === undefined && lines === 0) break;
      let cut = 0;
      if (end !== undefined) cut = bytes.length;
      for (; cut < bytes.length && lines > 0; cut++) if (bytes[cut] === NEWLINE) lines -= 1;
      await context.out.write(bytes.subarray(0, cut));
    }
    return 0;
  },
};
