import type { ValuesOf } from '../host/config/option.ts';
import { SluiceError } from '../model/errors.ts';
import { parseMemberAddresses, splitAddress } from './member-addresses.ts';
import type { quorumOptions, serviceOptions } from './options.ts';

/** What a master is told about itself and the others before it knows a cluster. */
export interface MasterPlace {
  /** Name of the cluster. */
  readonly cluster: string;
  readonly name: string;
  /** Where the other masters reach this one. */
  readonly address: string;
  /** Where clients reach this one; empty when nobody has said so. */
  readonly clientAddress: string;
  /** Addresses of the other masters of `master.peers`, by name. */
  readonly others: ReadonlyMap<string, string>;
  /** This master is in `master.peers`, so that it may be one of the first of a new cluster. */
  readonly listed: boolean;
  /** Raft shares the port of the clients. */
  readonly shared: boolean;
  /** Where clients reach the masters that `master.addresses` names, or all when the ports are shared. */
  clientAddressOf(name: string): string;
}

/** @throws SluiceError INVALID_ARGUMENT when the options are malformed, or do not say where this master is. */
export function masterPlace(
  quorum: ValuesOf<typeof quorumOptions>,
  service: ValuesOf<typeof serviceOptions>,
): MasterPlace {
  const { name } = quorum;
  const peers = parseMemberAddresses('master.peers', quorum.peers);
  const clients = parseMemberAddresses('master.addresses', service.addresses);
  const address = quorum.raftAddress === '' ? peers.get(name) : quorum.raftAddress;
  if (address === undefined) {
    const message =
      `master.name ${name} is not among master.peers (${[...peers.keys()].join(', ')}): add it, correct the name, or ` +
      'say with master.raft.address where the other masters reach it';
    throw new SluiceError('INVALID_ARGUMENT', message);
  }
  const others = new Map([...peers].filter(([peer]) => peer !== name));
  if (others.size === 0 && !peers.has(name)) {
    throw new SluiceError('INVALID_ARGUMENT', `master.peers is empty: name a master of the cluster, or ${name} itself`);
  }
  const shared = splitAddress(address).port === service.port;
  const clientAddressOf = (member: string) =>
    clients.get(member) ?? (shared ? (member === name ? address : peers.get(member)) : undefined) ?? '';
  return {
    cluster: service.cluster,
    name,
    address,
    clientAddress: clientAddressOf(name),
    others,
    listed: peers.has(name),
    shared,
    clientAddressOf,
  };
}
