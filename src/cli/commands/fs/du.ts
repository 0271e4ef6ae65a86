import { formatBytes } from '../../../base/units.ts';
import { isBelow } from '../../../model/path.ts';
import type { FileStatus } from '../../../model/status.ts';
import type { CommandSpec } from '../../command-spec.ts';
import type { CommandContext } from '../../context.ts';
import { remotePath, treeOf } from '../../remote-path.ts';

interface DuOptions {
  readonly humanReadable?: boolean;
  readonly summarize?: boolean;
}

interface Usage {
  readonly path: string;
  bytes: number;
}

/**
 * `sluice fs du`: a directory is printed when all that is below it was counted, so memory grows only with the depth.
 */
export const duCommand: CommandSpec<DuOptions> = {
  name: 'du',
  summary: 'show how many bytes directories hold',
  arguments: [['[path...]', 'where to count, / by default']],
  options: [
    ['-h, --human-readable', 'sizes such as 1.5GiB'],
    ['-s, --summarize', 'only the sum of each path'],
  ],
  async run(context, args, options) {
    const files = await context.files();
    for (const text of args.length === 0 ? ['/'] : args) {
      const tree = treeOf(files, remotePath(text), context.signal);
      await measure(tree, async (usage, depth) => {
        if (depth === 0 || options.summarize !== true) await show(context, usage, options.humanReadable === true);
      });
    }
    return 0;
  },
};

/** Calls `done` for each directory (and for a file that is the top) after all that is below it. */
async function measure(
  tree: AsyncIterable<FileStatus>,
  done: (usage: Usage, depth: number) => Promise<void>,
): Promise<void> {
  const open: Usage[] = [];
  const leave = async () => {
    const usage = open.pop();
    if (usage === undefined) return;
    const parent = open.at(-1);
    if (parent !== undefined) parent.bytes += usage.bytes;
    await done(usage, open.length);
  };
  for await (const { path, kind, lengthBytes } of tree) {
    for (let last = open.at(-1); last !== undefined && !isBelow(path, last.path); last = open.at(-1)) await leave();
    const parent = open.at(-1);
    if (kind === 'directory' || parent === undefined) open.push({ path, bytes: lengthBytes });
    else parent.bytes += lengthBytes;
  }
  while (open.length > 0) await leave();
}

async function show({ out, json }: CommandContext, { path, bytes }: Usage, human: boolean): Promise<void> {
  if (json) await out.json({ path, bytes });
  else await out.lines([`${human ? formatBytes(bytes) : bytes}\t${path}`]);
}
