import { formatBytes, formatDuration } from '../../../base/units.ts';
import type { FileStatus } from '../../../model/status.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { formatMode } from '../../file-mode.ts';
import { formatTime } from '../../time.ts';

/** `sluice fs stat`. */
export const statCommand: CommandSpec<{ readonly sync?: boolean }> = {
  name: 'stat',
  summary: 'show everything that is known of a path',
  arguments: [['<path...>', 'what to show']],
  options: [['--sync', 'look at the UFS now, whatever the sync interval of the mount']],
  async run(context, args, { sync = false }) {
    const files = await context.files();
    for (const path of args) {
      const status = await files.stat(path, { sync });
      if (context.json) await context.out.json(status);
      else await context.out.table(rowsOf(status));
    }
    return 0;
  },
};

function rowsOf(status: FileStatus): (readonly [string, string])[] {
  const { lengthBytes, kind, ttlMs } = status;
  const file = kind === 'file';
  const all: readonly (readonly [string, string | undefined])[] = [
    ['path', status.path],
    ['kind', kind],
    ['id', String(status.id)],
    ['length', file ? `${lengthBytes} (${formatBytes(lengthBytes)})` : undefined],
    ['block size', file ? formatBytes(status.blockSizeBytes) : undefined],
    ['children', file ? undefined : String(status.childCount)],
    ['complete', file ? String(status.complete) : undefined],
    ['mode', `${status.mode.toString(8).padStart(4, '0')} (${formatMode(status)})`],
    ['owner', `${status.owner}:${status.group}`],
    ['persistence', status.persistence],
    ['write type', file ? status.writeType : undefined],
    ['version', status.version === '' ? undefined : status.version],
    ['created', formatTime(status.createdMs)],
    ['modified', formatTime(status.modifiedMs)],
    ['accessed', formatTime(status.accessedMs)],
    ['changed', formatTime(status.changedMs)],
    ['pinned', String(status.pinned)],
    ['time to live', ttlMs === -1 ? 'forever' : `${formatDuration(ttlMs)}, then ${status.ttlAction}`],
    ['mount', status.mountId === 0 ? 'none' : `${status.mountId}${status.mountPoint ? ' (mount point)' : ''}`],
    ['UFS path', status.mountId === 0 || status.ufsPath === '' ? undefined : status.ufsPath],
  ];
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]));
}
