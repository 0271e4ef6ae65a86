import { formatBytes } from '../../../base/units.ts';
import type { FileStatus } from '../../../model/status.ts';
import type { CommandSpec } from '../../command-spec.ts';
import type { CommandContext } from '../../context.ts';
import { formatMode } from '../../file-mode.ts';
import { remotePath } from '../../remote-path.ts';
import { formatTable } from '../../table.ts';
import { formatTime } from '../../time.ts';

interface LsOptions {
  readonly long?: boolean;
  readonly recursive?: boolean;
  readonly humanReadable?: boolean;
  readonly sync?: boolean;
}

/** Entries that are fetched and printed at a time. */
const PAGE = 1000;

/** `sluice fs ls`: prints page by page, so a directory may be as large as it wants. */
export const lsCommand: CommandSpec<LsOptions> = {
  name: 'ls',
  summary: 'list a directory, or a file',
  arguments: [['[path...]', 'what to list, / by default']],
  options: [
    ['-l, --long', 'with mode, owner, group, size, persistence and time'],
    ['-R, --recursive', 'with everything below'],
    ['-h, --human-readable', 'sizes such as 1.5GiB'],
    ['--sync', 'look at the UFS now, whatever the sync interval of the mount'],
  ],
  examples: ['sluice fs ls -l /', 'sluice fs ls -R --json /data'],
  async run(context, args, options) {
    const files = await context.files();
    for (const path of args.length === 0 ? ['/'] : args) {
      const { recursive = false, sync = false } = options;
      let page: FileStatus[] = [];
      const listing = files.list(remotePath(path), { recursive, sync, pageSize: PAGE, signal: context.signal });
      for await (const status of listing) {
        page.push(status);
        if (page.length < PAGE) continue;
        await show(context, page, options);
        page = [];
      }
      await show(context, page, options);
    }
    return 0;
  },
};

async function show({ out, json }: CommandContext, page: readonly FileStatus[], options: LsOptions): Promise<void> {
  if (json) await out.json(...page);
  else if (options.long === true)
    // Not cut to the terminal: a name that is not whole cannot be used.
    await out.lines(formatTable(page.map((status) => longRow(status, options.humanReadable === true))));
  else await out.lines(page.map((status) => status.path));
}

function longRow(status: FileStatus, human: boolean): (string | number)[] {
  const { lengthBytes, kind, complete, persistence } = status;
  const size = human ? formatBytes(lengthBytes).padStart(8) : lengthBytes;
  return [
    formatMode(status),
    status.owner,
    status.group,
    kind === 'directory' ? 'DIR'.padStart(human ? 8 : 3) : size,
    complete ? persistence.toUpperCase() : 'INCOMPLETE',
    formatTime(status.modifiedMs),
    status.path,
  ];
}
