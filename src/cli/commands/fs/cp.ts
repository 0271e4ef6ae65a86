import { formatBytes } from '../../../base/units.ts';
import type { FileSystem } from '../../../client/file-system.ts';
import { SluiceError } from '../../../model/errors.ts';
import { ahead } from '../../ahead.ts';
import type { CommandSpec } from '../../command-spec.ts';
import type { CommandContext } from '../../context.ts';
import { type CopyEntry, type CopySource, LocalSource, RemoteSource } from '../../copy-source.ts';
import {
  type CopyTarget,
  isLocalPath,
  LocalTarget,
  localPath,
  RemoteTarget,
  type TargetOptions,
} from '../../copy-target.ts';
import { wholeNumber } from '../../numbers.ts';
import { runAll } from '../../parallel.ts';
import { type Progress, showProgress } from '../../progress.ts';
import { WRITE_TYPE_OPTION, writeTypeOf } from '../../write-type.ts';

interface CpOptions {
  readonly recursive?: boolean;
  readonly force?: boolean;
  readonly parallel?: string;
  readonly writeType?: string;
}

const AT_A_TIME = '4';
/** Files that are found before they are copied, so that the progress knows how much there is. */
const FOUND_AHEAD = 10_000;

/** `sluice fs cp`. */
export const cpCommand: CommandSpec<CpOptions> = {
  name: 'cp',
  summary: 'copy files and directories, within the cluster or from and to this machine (file://)',
  arguments: [
    ['<source>', 'what to copy'],
    ['<target>', 'its new path, or a directory to copy it into'],
  ],
  options: [
    ['-r, --recursive', 'directories with all that is below them'],
    ['-f, --force', 'replace existing files'],
    ['--parallel <count>', `files that are copied at a time, ${AT_A_TIME} by default`],
    WRITE_TYPE_OPTION,
  ],
  examples: ['sluice fs cp -r file:///srv/images /images', 'sluice fs cp /images/a.png file://a.png'],
  async run(context, [from = '', to = ''], options) {
    const files = await context.files();
    const atATime = wholeNumber('--parallel', options.parallel ?? AT_A_TIME, 1);
    const source = sourceOf(context, files, from);
    const top = await source.top();
    if (top.kind === 'directory' && options.recursive !== true)
      throw new SluiceError('IS_A_DIRECTORY', `${top.path} is a directory: copy it with -r`);
    const target = await targetOf(context, files, source, to, {
      force: options.force === true,
      writeType: writeTypeOf(options.writeType),
    });
    checkApart(top, target, isLocalPath(from) === isLocalPath(to));
    const progress = await showProgress(context.world.stderr);
    const copy = new Copy(context.signal, target, progress);
    try {
      await runAll(ahead(copy.filesOf(source, top), FOUND_AHEAD), atATime, (entry) => copy.copy(entry));
    } finally {
      progress.stop();
    }
    const { count, bytes } = copy;
    if (context.json) await context.out.json({ source: top.path, target: target.show(''), files: count, bytes });
    else await context.out.lines([`copied ${count} ${count === 1 ? 'file' : 'files'} (${formatBytes(bytes)})`]);
    return 0;
  },
};

/** One run of the command. */
class Copy {
  count = 0;
  bytes = 0;
  readonly #signal: AbortSignal;
  readonly #target: CopyTarget;
  readonly #progress: Progress;

  constructor(signal: AbortSignal, target: CopyTarget, progress: Progress) {
    this.#signal = signal;
    this.#target = target;
    this.#progress = progress;
  }

  /** The files of the source; directories are made on the way, before what is in them. */
  async *filesOf(source: CopySource, top: CopyEntry): AsyncGenerator<CopyEntry> {
    const tree = top.kind === 'file' ? [top] : source.tree(this.#signal);
    for await (const entry of tree) {
      this.#signal.throwIfAborted();
      if (entry.kind === 'directory') {
        await this.#target.makeDirectory(entry.name, entry.mode);
        continue;
      }
      this.#progress.found(entry.lengthBytes);
      yield entry;
    }
  }

  async copy(entry: CopyEntry): Promise<void> {
    let read = 0;
    const counted = async function* (this: Copy): AsyncGenerator<Uint8Array> {
      for await (const piece of entry.read(this.#signal)) {
        this.#signal.throwIfAborted();
        read += piece.length;
        yield piece;
        this.#progress.copied(piece.length);
      }
    };
    const written = await this.#target.write(entry.name, counted.call(this), entry.mode);
    if (written !== read) {
      const message = `${this.#target.show(entry.name)} has ${written} bytes, but ${read} were copied: copy it again`;
      throw new SluiceError('CORRUPT', message);
    }
    this.count += 1;
    this.bytes += read;
    this.#progress.fileDone();
  }
}

function sourceOf(context: CommandContext, files: FileSystem, text: string): CopySource {
  return isLocalPath(text) ? new LocalSource(localPath(text, context.world.folder)) : new RemoteSource(files, text);
}

/** The target, or what the source becomes in it when it is a directory already. */
async function targetOf(
  context: CommandContext,
  files: FileSystem,
  source: CopySource,
  text: string,
  options: TargetOptions,
): Promise<CopyTarget> {
  const local = isLocalPath(text);
  const path = local ? localPath(text, context.world.folder) : text;
  const at = (where: string) => (local ? new LocalTarget(where, options) : new RemoteTarget(files, where, options));
  const target = at(path);
  return source.name !== '' && (await target.isDirectory()) ? at(target.show(source.name)) : target;
}

/** A copy into itself would never end. */
function checkApart(top: CopyEntry, target: CopyTarget, sameWorld: boolean): void {
  const to = target.show('');
  if (!sameWorld || (to !== top.path && !`${to}/`.startsWith(top.path === '/' ? '/' : `${top.path}/`))) return;
  const what = to === top.path ? 'onto itself' : 'into itself';
  throw new SluiceError('INVALID_ARGUMENT', `Cannot copy ${top.path} ${what}: choose another target than ${to}`);
}
