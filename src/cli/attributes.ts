import type { AttributeChanges } from '../client/file-system.ts';
import type { FileStatus } from '../model/status.ts';
import type { CommandContext } from './context.ts';
import { runAll } from './parallel.ts';
import { remotePath, treeOf } from './remote-path.ts';

const AT_A_TIME = 32;

/** Changes attributes of paths, and of everything below them when `recursive`. */
export async function changeAttributes(
  context: CommandContext,
  paths: readonly string[],
  recursive: boolean,
  change: (status: FileStatus) => AttributeChanges,
): Promise<void> {
  const { json, out, signal } = context;
  const files = await context.files();
  for (const text of paths) {
    const path = remotePath(text);
    const tree = recursive ? treeOf(files, path, signal) : [await files.stat(path)];
    await runAll(tree, AT_A_TIME, async (status) => {
      const changed = await files.setAttributes(status.path, change(status));
      if (json) await out.json(changed);
    });
  }
}
