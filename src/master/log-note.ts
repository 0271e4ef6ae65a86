import { join } from 'node:path';
import type { FileOperations } from '../host/file-operations.ts';
import { decodeLogNote, encodeLogNote, type LogNote } from '../wire/codec/log-record.ts';

const NAMES = ['noted-a', 'noted-b'] as const;

/** What was noted last in `folder`; undefined when nothing was, or neither file can be read. */
export async function readLogNote(files: FileOperations, folder: string): Promise<LogNote | undefined> {
  const names = await files.list(folder);
  let newest: LogNote | undefined;
  for (const name of NAMES.filter((each) => names.includes(each))) {
    const file = await files.open(join(folder, name), 'read');
    try {
      const bytes = Buffer.alloc(await file.size());
      await file.read(bytes, 0);
      const note = decodeLogNote(bytes);
      if (note !== undefined && note.writes >= (newest?.writes ?? 0)) newest = note;
    } finally {
      await file.close();
    }
  }
  return newest;
}

/** Writes both files, one after the other: a crash tears one at most. */
export async function writeLogNote(files: FileOperations, folder: string, note: LogNote): Promise<void> {
  for (const name of NAMES) {
    const file = await files.open(join(folder, name), 'create');
    try {
      await file.write(encodeLogNote(note), 0);
      await file.sync();
    } finally {
      await file.close();
    }
  }
  await files.syncFolder(folder);
}
