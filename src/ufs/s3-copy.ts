import type { HeadObjectOutput } from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-connection.ts';
import { MAX_PARTS, S3Upload } from './s3-upload.ts';

/** Parts of a copy under way at once. */
const CONCURRENT_PARTS = 4;

export interface S3CopyLimits {
  /** Larger objects are copied in parts. S3 takes 5 GiB at once; parts of less answer in time. */
  readonly wholeBytes: number;
  readonly partBytes: number;
}

export const COPY_LIMITS: S3CopyLimits = { wholeBytes: 2 ** 30, partBytes: 2 ** 29 };

/** Copies exactly the object that is there now, inside S3; its metadata goes with it. @throws NOT_FOUND, STALE */
export async function copyObject(
  connection: S3Connection,
  source: string,
  target: string,
  limits: S3CopyLimits,
  signal?: AbortSignal,
): Promise<void> {
  const input = { Bucket: connection.bucket, Key: connection.key(source) };
  const head = await connection.send(source, signal, (s3, options) => s3.headObject(input, options));
  const from = {
    CopySource: `${connection.bucket}/${encodeURIComponent(connection.key(source)).replaceAll('%2F', '/')}`,
    ...(head.ETag === undefined ? {} : { CopySourceIfMatch: head.ETag }),
  };
  if ((head.ContentLength ?? 0) > limits.wholeBytes) return copyInParts(connection, target, head, from, limits, signal);
  const copy = { ...from, Bucket: connection.bucket, Key: connection.key(target) };
  await connection.send(source, signal, (s3, options) => s3.copyObject(copy, options));
}

/** What a copy in one request would take over by itself. */
function metadataOf(head: HeadObjectOutput) {
  const { CacheControl, ContentDisposition, ContentEncoding, ContentLanguage, ContentType, Metadata, StorageClass } =
    head;
  const entries = {
    CacheControl,
    ContentDisposition,
    ContentEncoding,
    ContentLanguage,
    ContentType,
    Metadata,
    StorageClass,
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== undefined));
}

async function copyInParts(
  connection: S3Connection,
  target: string,
  head: HeadObjectOutput,
  from: { readonly CopySource: string; readonly CopySourceIfMatch?: string },
  limits: S3CopyLimits,
  signal: AbortSignal | undefined,
): Promise<void> {
  const total = head.ContentLength ?? 0;
  const size = Math.max(limits.partBytes, Math.ceil(total / MAX_PARTS));
  const upload = await S3Upload.begin(connection, target, metadataOf(head), signal);
  try {
    for (let at = 0; at < total; at += size) {
      const range = `bytes=${at}-${Math.min(at + size, total) - 1}`;
      await upload.add(CONCURRENT_PARTS, async ({ signal: aborted, ...part }) => {
        const input = { ...part, ...from, CopySourceRange: range };
        const both = signal === undefined ? aborted : AbortSignal.any([aborted, signal]);
        const said = await connection.send(target, both, (s3, options) => s3.uploadPartCopy(input, options));
        return { ETag: said.CopyPartResult?.ETag };
      });
    }
    await upload.complete(signal);
  } catch (thrown) {
    await upload.abort();
    throw thrown;
  }
}
