import { SluiceError } from '../model/errors.ts';

const ENTRY = /^([A-Za-z0-9._-]{1,64})=(.+:\d{1,5})$/;

/** Reads `name=host:port` entries. @throws SluiceError INVALID_ARGUMENT that names `key` and the entry */
export function parseMemberAddresses(key: string, entries: readonly string[]): ReadonlyMap<string, string> {
  const addresses = new Map<string, string>();
  for (const entry of entries) {
    const [, name = '', address = ''] = ENTRY.exec(entry) ?? [];
    if (name === '')
      throw new SluiceError('INVALID_ARGUMENT', `${key} has ${JSON.stringify(entry)}: write it as name=host:port`);
    if (addresses.has(name))
      throw new SluiceError('INVALID_ARGUMENT', `${key} names ${name} twice: give each master its own name`);
    addresses.set(name, address);
  }
  return addresses;
}

/** Host and port of an address; an IPv6 host may stand in brackets. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon);
  return { host: host.startsWith('[') ? host.slice(1, -1) : host, port: Number(address.slice(colon + 1)) };
}
