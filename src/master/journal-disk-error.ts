import { SluiceError } from '../model/errors.ts';

/** An error of the system about files of the journal, as one that says what to do; any other error as it is. */
export function journalDiskError(folder: string, thrown: unknown): unknown {
  const { code, syscall } = (thrown ?? {}) as NodeJS.ErrnoException;
  if (thrown instanceof SluiceError || code === undefined) return thrown;
  const options = { cause: thrown };
  if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG') {
    const message = `Journal ${folder} cannot be written: the disk is full; free some space`;
    return new SluiceError('EXHAUSTED', message, options);
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const message = `Journal ${folder} cannot be written (${code}): give this user write access to the folder`;
    return new SluiceError('PERMISSION_DENIED', message, options);
  }
  const what = `${syscall ?? 'an operation'} failed with ${code}`;
  const message = `Journal ${folder} cannot be used, ${what}: check its disk, then restart this master`;
  return new SluiceError('INTERNAL', message, options);
}
