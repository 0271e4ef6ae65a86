import type { MemberInfo, Membership } from './membership.ts';

/** The bytes of a `config` entry: JSON in ASCII, so that no table of characters is needed to read it. */
export function encodeMembership({ voters, outgoing, learners, members }: Membership): Uint8Array {
  const text = JSON.stringify({ voters, outgoing, learners, members });
  const ascii = text.replace(/[\u007f-\uffff]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return Uint8Array.from(ascii, (char) => char.charCodeAt(0));
}

/** Undefined when the bytes are no membership. */
export function decodeMembership(bytes: Uint8Array): Membership | undefined {
  let value: unknown;
  try {
    let text = '';
    for (const byte of bytes) text += String.fromCharCode(byte);
    value = JSON.parse(text);
  } catch {
    // Not JSON: no membership.
    return undefined;
  }
  return isMembership(value) ? value : undefined;
}

function isMembership(value: unknown): value is Membership {
  if (typeof value !== 'object' || value === null) return false;
  const { voters, outgoing, learners, members } = value as Partial<Record<keyof Membership, unknown>>;
  return isNames(voters) && isNames(outgoing) && isNames(learners) && Array.isArray(members) && members.every(isInfo);
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}

function isInfo(value: unknown): value is MemberInfo {
  if (typeof value !== 'object' || value === null) return false;
  const { id, address, clientAddress, priority } = value as Partial<Record<keyof MemberInfo, unknown>>;
  const texts = [id, address, clientAddress].every((text) => typeof text === 'string');
  return texts && Number.isInteger(priority);
}
