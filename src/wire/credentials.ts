import { Metadata } from '@grpc/grpc-js';
import { SluiceError } from '../model/errors.ts';
import type { RequestId } from '../model/operations.ts';
import type { Principal } from '../model/principal.ts';

const AUTHORIZATION = 'authorization';
const USER = 'sluice-user';
const GROUPS = 'sluice-groups';
const REQUEST_ID = 'sluice-request-id';
const READ_FROM = 'sluice-read-from';
const CLUSTER = 'sluice-cluster';
const ANY = 'any';
const GROUPS_MAX = 256;
const NAME_LENGTH_MAX = 255;

function only(metadata: Metadata, key: string): string | undefined {
  const [value] = metadata.get(key);
  return typeof value === 'string' ? value : undefined;
}

/** Metadata of a call: the shared token, when there is one. */
export function callMetadata(token: string | undefined): Metadata {
  const metadata = new Metadata();
  if (token !== undefined && token !== '') metadata.set(AUTHORIZATION, `Bearer ${token}`);
  return metadata;
}

/** Adds who asks. */
export function setPrincipal(metadata: Metadata, principal: Principal): void {
  metadata.set(USER, encodeURIComponent(principal.user));
  if (principal.groups.length > 0) metadata.set(GROUPS, principal.groups.map(encodeURIComponent).join(','));
}

/** Adds what makes a retry harmless. */
export function setRequestId(metadata: Metadata, id: RequestId): void {
  metadata.set(REQUEST_ID, `${id.client}/${id.sequence}/${id.acknowledgedBelow}`);
}

/** Lets a master that does not lead answer. */
export function setAnyMaster(metadata: Metadata): void {
  metadata.set(READ_FROM, ANY);
}

/** Whether a master that does not lead may answer. */
export function readAnyMaster(metadata: Metadata): boolean {
  return only(metadata, READ_FROM) === ANY;
}

/** Metadata of an answer: which cluster, in which epoch, gives it, in ASCII; nothing when that is not known yet. */
export function clusterMetadata(cluster: string): Metadata {
  const metadata = new Metadata();
  if (cluster !== '') metadata.set(CLUSTER, cluster);
  return metadata;
}

/** What `clusterMetadata` said, to be compared and nothing else. */
export function readCluster(metadata: Metadata): string {
  return only(metadata, CLUSTER) ?? '';
}

/** Refuses a principal without a name, or one larger than any real one. @throws SluiceError UNAUTHENTICATED */
export function checkPrincipal(principal: Principal): Principal {
  const names = [principal.user, ...principal.groups];
  if (principal.user === '') throw new SluiceError('UNAUTHENTICATED', 'The call does not say which user asks');
  if (names.length > GROUPS_MAX + 1 || names.some((name) => name.length > NAME_LENGTH_MAX))
    throw new SluiceError(
      'UNAUTHENTICATED',
      `A user may have ${GROUPS_MAX} groups, and a name ${NAME_LENGTH_MAX} characters`,
    );
  return principal;
}

function decodeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw new SluiceError('UNAUTHENTICATED', `A user or group name is not percent-encoded: ${text}`, { cause });
  }
}

/** @throws SluiceError UNAUTHENTICATED when the call names no user. */
export function readPrincipal(metadata: Metadata): Principal {
  const groups = only(metadata, GROUPS) ?? '';
  return checkPrincipal({
    user: decodeName(only(metadata, USER) ?? ''),
    groups: groups === '' ? [] : groups.split(',').map(decodeName),
  });
}

/** Checks the parts of a request id. @throws SluiceError INVALID_ARGUMENT */
export function checkRequestId(id: RequestId): RequestId {
  const { client, sequence, acknowledgedBelow } = id;
  if (!/^[0-9A-Za-z-]{8,64}$/.test(client))
    throw new SluiceError('INVALID_ARGUMENT', 'The client of a request id must be a UUID');
  if (!Number.isSafeInteger(sequence) || sequence < 1 || !(acknowledgedBelow >= 0 && acknowledgedBelow <= sequence))
    throw new SluiceError(
      'INVALID_ARGUMENT',
      `A sequence counts from 1 and is not below what was acknowledged, got ${sequence} and ${acknowledgedBelow}`,
    );
  return id;
}

/** @returns undefined when the call has none. @throws SluiceError INVALID_ARGUMENT */
export function readRequestId(metadata: Metadata): RequestId | undefined {
  const text = only(metadata, REQUEST_ID);
  if (text === undefined) return undefined;
  const match = /^([^/]+)\/(\d{1,16})\/(\d{1,16})$/.exec(text);
  if (match === null)
    throw new SluiceError('INVALID_ARGUMENT', `${REQUEST_ID} must be CLIENT/SEQUENCE/ACKNOWLEDGED_BELOW, got ${text}`);
  const [, client = '', sequence = '', below = ''] = match;
  return checkRequestId({ client, sequence: Number(sequence), acknowledgedBelow: Number(below) });
}

/** What a call shows as its `authorization`. */
export function authorizationOf(metadata: Metadata): string | undefined {
  return only(metadata, AUTHORIZATION);
}
