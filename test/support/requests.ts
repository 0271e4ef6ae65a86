import type { CreateFileRequest, DeleteRequest, MakeDirectoryRequest } from '../../src/model/operations.ts';

/** A file of the usual kind, but for `changes`. */
export function createFile(path: string, changes: Partial<CreateFileRequest> = {}): CreateFileRequest {
  return {
    path,
    mode: 0o644,
    writeType: 'CACHE_THROUGH',
    blockSizeBytes: 0,
    recursive: false,
    overwrite: false,
    empty: false,
    ...changes,
  };
}

export function makeDirectory(path: string, changes: Partial<MakeDirectoryRequest> = {}): MakeDirectoryRequest {
  return { path, mode: 0o755, recursive: false, allowExists: false, ...changes };
}

export function deletion(path: string, changes: Partial<DeleteRequest> = {}): DeleteRequest {
  return { path, recursive: false, keepUfs: false, id: 0, ...changes };
}
