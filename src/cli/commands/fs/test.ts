import { SluiceError } from '../../../model/errors.ts';
import type { FileStatus } from '../../../model/status.ts';
import type { CommandSpec } from '../../command-spec.ts';
import { remotePath, statIfExists } from '../../remote-path.ts';

interface TestOptions {
  readonly exists?: boolean;
  readonly directory?: boolean;
  readonly file?: boolean;
  readonly empty?: boolean;
}

/** `sluice fs test`. */
export const testCommand: CommandSpec<TestOptions> = {
  name: 'test',
  summary: 'ask about a path: exit code 0 is yes, 1 is no',
  arguments: [['<path>', 'what to ask about']],
  options: [
    ['-e, --exists', 'it exists'],
    ['-d, --directory', 'it is a directory'],
    ['-f, --file', 'it is a file'],
    ['-z, --empty', 'it is a file without bytes, or a directory without children'],
  ],
  examples: ['sluice fs test -d /data && echo yes'],
  async run(context, [text = ''], options) {
    const asked = [options.exists, options.directory, options.file, options.empty].filter(Boolean);
    if (asked.length === 0)
      throw new SluiceError('INVALID_ARGUMENT', 'Say what to test: -e exists, -d directory, -f file or -z empty');
    const status = await statIfExists(await context.files(), remotePath(text));
    const holds = status !== undefined && answer(status, options);
    if (context.json) await context.out.json({ path: remotePath(text), holds });
    return holds ? 0 : 1;
  },
};

function answer(status: FileStatus, options: TestOptions): boolean {
  if (options.directory === true && status.kind !== 'directory') return false;
  if (options.file === true && status.kind !== 'file') return false;
  return options.empty !== true || (status.kind === 'file' ? status.lengthBytes === 0 : status.childCount === 0);
}
