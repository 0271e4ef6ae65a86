import { randomUUID } from 'node:crypto';
import { SluiceError } from '../model/errors.ts';
import type { S3Connection } from './s3-connection.ts';
import { s3Error, statusOf } from './s3-errors.ts';
import { isDirectory, refuseS3 } from './s3-object.ts';
import { temporaryName } from './ufs-path.ts';

/** A mount command waits for this, and a person for the command. */
const PATIENCE_MS = 10_000;

/**
 * Proves that a bucket can be used; see `Ufs.check`. A prefix without objects counts as a directory that may be
 * filled.
 */
export async function checkS3(connection: S3Connection, readOnly: boolean): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS);
  try {
    await checkReadable(connection, readOnly, signal);
    if (!readOnly) await checkWritable(connection, signal);
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
    const patience = `${PATIENCE_MS / 1000} s`;
    const message = `${connection.endpoint} did not answer within ${patience}: check s3.endpoint and the network`;
    throw new SluiceError('UNAVAILABLE', message, { cause: thrown });
  }
}

async function checkReadable(connection: S3Connection, readOnly: boolean, signal: AbortSignal): Promise<void> {
  // A listing and not HeadBucket: answers to HEAD have no body that tells what is wrong.
  const exists = await isDirectory(connection, '', signal);
  const { prefix } = connection.place;
  if (exists || prefix === '') return;
  if (await isObject(connection, prefix.slice(0, -1), signal)) {
    throw refuseS3(connection, 'NOT_A_DIRECTORY', '', 'is an object without the last slash: mount what it is in');
  }
  if (!readOnly) return;
  throw refuseS3(connection, 'NOT_FOUND', '', 'has no objects: correct the prefix, or mount it writable to fill it');
}

/** @param key whole, prefix included */
async function isObject(connection: S3Connection, key: string, signal: AbortSignal): Promise<boolean> {
  try {
    await connection.sendRaw(signal, (s3, options) => s3.headObject({ Bucket: connection.bucket, Key: key }, options));
    return true;
  } catch (thrown) {
    if (statusOf(thrown) === 404) return false;
    throw s3Error(thrown, connection.contextOf(''));
  }
}

async function checkWritable(connection: S3Connection, signal: AbortSignal): Promise<void> {
  const name = temporaryName(randomUUID());
  const target = { Bucket: connection.bucket, Key: connection.key(name) };
  await connection.send(name, signal, (s3, options) =>
    s3.putObject({ ...target, Body: '', ContentLength: 0 }, options),
  );
  await connection.send(name, signal, (s3, options) => s3.deleteObject(target, options));
}
