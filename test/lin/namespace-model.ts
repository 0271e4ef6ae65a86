import { isLinearizable, type Operation, type SequentialModel } from './linearizable.ts';

/** Calls on empty files; both names of a rename lie in the same folder. */
export type NamespaceCall =
  | { readonly kind: 'create' | 'delete' | 'exists'; readonly path: string }
  | { readonly kind: 'rename'; readonly path: string; readonly target: string };

/** `OK` of `exists` is yes, `NOT_FOUND` no. */
export type NamespaceOutcome = 'OK' | 'NOT_FOUND' | 'ALREADY_EXISTS';

export type NamespaceOperation = Operation<NamespaceCall, NamespaceOutcome>;

/** The files of one folder, which is empty at first. */
export const NAMESPACE: SequentialModel<ReadonlySet<string>, NamespaceCall, NamespaceOutcome> = {
  initial: new Set(),
  describe: (files) => [...files].sort().join('\n'),
  apply(files, call) {
    const there = files.has(call.path);
    if (call.kind === 'create') {
      return there
        ? { state: files, outcome: 'ALREADY_EXISTS' }
        : { state: including(files, call.path), outcome: 'OK' };
    }
    if (!there) return { state: files, outcome: 'NOT_FOUND' };
    if (call.kind === 'rename') {
      if (files.has(call.target)) return { state: files, outcome: 'ALREADY_EXISTS' };
      return { state: including(without(files, call.path), call.target), outcome: 'OK' };
    }
    return { state: call.kind === 'delete' ? without(files, call.path) : files, outcome: 'OK' };
  },
};

/**
 * The folders whose history is not linearizable. Folders are judged one by one: a history is linearizable exactly when
 * that of each of its independent objects is (Herlihy and Wing 1990, locality).
 * @throws RangeError for a rename from one folder into another
 */
export function wrongFolders(history: readonly NamespaceOperation[]): string[] {
  const folders = new Map<string, NamespaceOperation[]>();
  for (const operation of history) {
    const { input } = operation;
    const folder = folderOf(input.path);
    if (input.kind === 'rename' && folderOf(input.target) !== folder) {
      throw new RangeError(`${input.path} to ${input.target}: a rename between folders joins their histories`);
    }
    const operations = folders.get(folder);
    if (operations === undefined) folders.set(folder, [operation]);
    else operations.push(operation);
  }
  return [...folders].filter(([, operations]) => !isLinearizable(NAMESPACE, operations)).map(([folder]) => folder);
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

function including(files: ReadonlySet<string>, path: string): ReadonlySet<string> {
  return new Set(files).add(path);
}

function without(files: ReadonlySet<string>, path: string): ReadonlySet<string> {
  const rest = new Set(files);
  rest.delete(path);
  return rest;
}
