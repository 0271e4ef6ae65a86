import type { Command } from '../../src/model/command.ts';
import type { Caller } from '../../src/model/principal.ts';

/** A node of the tree as a reader of the manual would write it: objects in maps, no rows, no counters. */
export interface NaiveNode {
  kind: 'file' | 'directory';
  owner: string;
  group: string;
  mode: number;
  complete: boolean;
  lengthBytes: number;
  version: string;
  pinned: boolean;
  /** Present on mount points. */
  mount?: { readOnly: boolean; uri: string };
  readonly children: Map<string, NaiveNode>;
}

type Codes = Set<string>;

const READ_ONLY = 'READ_ONLY';

/**
 * The namespace by brute force. `attempt` answers every refusal that a command deserves, so that the order in which the
 * real thing checks stays its own business; with none, it has changed the tree.
 */
export class NaiveTree {
  readonly root = directory('root', 'wheel', 0o755);

  attempt(command: Command, caller: Caller): Codes {
    const codes: Codes = new Set();
    switch (command.kind) {
      case 'createFile':
        this.#create(command, caller, codes);
        break;
      case 'completeFile':
        this.#complete(command, caller, codes);
        break;
      case 'makeDirectory':
        this.#makeDirectory(command, caller, codes);
        break;
      case 'delete':
        this.#delete(command, caller, codes);
        break;
      case 'rename':
        this.#rename(command, caller, codes);
        break;
      case 'setAttributes':
        this.#setAttributes(command, caller, codes);
        break;
      case 'mount':
        this.#mount(command, caller, codes);
        break;
      case 'unmount':
        this.#unmount(command, caller, codes);
        break;
      default:
        throw new Error(`No naive ${command.kind}`);
    }
    return codes;
  }

  #create(command: Command & { kind: 'createFile' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    this.#traverse(names, caller, codes);
    const existing = this.#find(names);
    const mount = this.#mountOf(names);
    if (mount?.node.mount?.readOnly === true) codes.add(READ_ONLY);
    if (command.writeType !== 'MUST_CACHE' && mount === undefined) codes.add('INVALID_ARGUMENT');
    if (existing !== undefined) {
      if (!command.overwrite) codes.add('ALREADY_EXISTS');
      else if (existing.kind === 'directory') codes.add('IS_A_DIRECTORY');
      else if (!existing.complete) codes.add('INCOMPLETE');
      if (names.length > 0) this.#mayRemove(names, caller, codes);
    } else this.#mayAdd(names, command.recursive, caller, codes);
    if (codes.size > 0) return;
    const parent = this.#makeParents(names, command.mode, caller);
    parent.children.set(names.at(-1)!, {
      ...directory(caller.user, groupIn(parent, caller), command.mode),
      kind: 'file',
      complete: command.empty,
      version: command.ufsVersion,
      pinned: parent.pinned,
    });
  }

  #complete(command: Command & { kind: 'completeFile' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    this.#traverse(names, caller, codes);
    const node = this.#find(names);
    if (node === undefined) this.#missing(names, codes);
    else if (node.kind === 'directory') codes.add('NOT_FOUND');
    else {
      if (node.owner !== caller.user && !may(node, caller, 2)) codes.add('PERMISSION_DENIED');
      if (node.complete && node.lengthBytes !== command.lengthBytes) codes.add('ALREADY_EXISTS');
      if (!node.complete && this.#mountOf(names)?.node.mount?.readOnly === true) codes.add(READ_ONLY);
    }
    if (codes.size > 0 || node === undefined) return;
    node.complete = true;
    node.lengthBytes = command.lengthBytes;
  }

  #makeDirectory(command: Command & { kind: 'makeDirectory' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    this.#traverse(names, caller, codes);
    const existing = this.#find(names);
    if (existing !== undefined) {
      if (!command.allowExists || existing.kind === 'file') codes.add('ALREADY_EXISTS');
      return;
    }
    if (this.#mountOf(names)?.node.mount?.readOnly === true) codes.add(READ_ONLY);
    this.#mayAdd(names, command.recursive, caller, codes);
    if (codes.size > 0) return;
    const parent = this.#makeParents(names, command.mode, caller);
    parent.children.set(names.at(-1)!, newDirectory(parent, caller, command.mode));
  }

  #delete(command: Command & { kind: 'delete' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    if (names.length === 0) {
      codes.add('INVALID_ARGUMENT');
      return;
    }
    this.#traverse(names, caller, codes);
    const node = this.#find(names);
    if (node === undefined) {
      this.#missing(names, codes);
      return;
    }
    this.#mayRemove(names, caller, codes);
    if (this.#mountOf(names)?.node.mount?.readOnly === true) codes.add(READ_ONLY);
    if (hasMount(node)) codes.add('CROSS_MOUNT');
    if (node.children.size > 0) {
      if (!command.recursive) codes.add('NOT_EMPTY');
      else if (!may(node, caller, 3)) codes.add('PERMISSION_DENIED');
    }
    if (codes.size === 0) this.#find(names.slice(0, -1))!.children.delete(names.at(-1)!);
  }

  #rename(command: Command & { kind: 'rename' }, caller: Caller, codes: Codes): void {
    const source = split(command.source);
    const target = split(command.target);
    this.#traverse(source, caller, codes);
    this.#traverse(target, caller, codes);
    const node = this.#find(source);
    if (node === undefined) this.#missing(source, codes);
    if (node === undefined || command.source === command.target) return;
    if (source.length === 0 || target.length === 0) {
      codes.add('INVALID_ARGUMENT');
      return;
    }
    this.#mayRemove(source, caller, codes);
    if (this.#mountOf(source)?.node.mount?.readOnly === true) codes.add(READ_ONLY);
    if (hasMount(node)) codes.add('CROSS_MOUNT');
    if (!node.complete) codes.add('INCOMPLETE');
    if (command.target.startsWith(`${command.source}/`)) codes.add('INVALID_ARGUMENT');
    const sameParent = source.slice(0, -1).join('/') === target.slice(0, -1).join('/');
    if (node.kind === 'directory' && !sameParent && !may(node, caller, 2)) codes.add('PERMISSION_DENIED');
    const replaced = this.#find(target);
    if (replaced !== undefined) {
      if (!command.overwrite) codes.add('ALREADY_EXISTS');
      else if (node.kind === 'file' && replaced.kind === 'directory') codes.add('IS_A_DIRECTORY');
      else if (node.kind === 'directory' && replaced.kind === 'file') codes.add('NOT_A_DIRECTORY');
      else if (replaced.children.size > 0) codes.add('NOT_EMPTY');
      if (hasMount(replaced)) codes.add('CROSS_MOUNT');
      this.#mayRemove(target, caller, codes);
    } else this.#mayAdd(target, false, caller, codes);
    if (this.#mountOf(source)?.path !== this.#mountOf(target)?.path) codes.add('CROSS_MOUNT');
    if (codes.size > 0) return;
    this.#find(source.slice(0, -1))!.children.delete(source.at(-1)!);
    this.#find(target.slice(0, -1))!.children.set(target.at(-1)!, node);
  }

  #setAttributes(command: Command & { kind: 'setAttributes' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    this.#traverse(names, caller, codes);
    const node = this.#find(names);
    if (node === undefined) {
      this.#missing(names, codes);
      return;
    }
    const { mode, owner, group, pinned } = command;
    if (mode !== undefined || owner !== undefined || group !== undefined) {
      if (!caller.superuser && node.owner !== caller.user) codes.add('PERMISSION_DENIED');
      if (this.#mountOf(names)?.node.mount?.readOnly === true) codes.add(READ_ONLY);
    }
    if (owner !== undefined && owner !== node.owner && !caller.superuser) codes.add('PERMISSION_DENIED');
    const foreign = group !== undefined && group !== node.group && !caller.groups.includes(group);
    if (foreign && !caller.superuser) codes.add('PERMISSION_DENIED');
    if (pinned !== undefined && node.owner !== caller.user && !may(node, caller, 2)) codes.add('PERMISSION_DENIED');
    if (codes.size > 0) return;
    node.mode = mode ?? node.mode;
    node.owner = owner ?? node.owner;
    node.group = group ?? node.group;
    node.pinned = pinned ?? node.pinned;
  }

  #mount(command: Command & { kind: 'mount' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    if (!caller.superuser) codes.add('PERMISSION_DENIED');
    const uris = mountsIn(this.root).map((node) => node.mount?.uri);
    if (uris.includes(command.uri)) codes.add('ALREADY_EXISTS');
    const existing = this.#find(names);
    if (existing?.mount !== undefined) codes.add('ALREADY_EXISTS');
    else if (names.length === 0) {
      if (this.root.children.size > 0) codes.add('NOT_EMPTY');
    } else if (existing !== undefined) codes.add('ALREADY_EXISTS');
    else if (this.#find(names.slice(0, -1))?.kind !== 'directory') this.#missing(names, codes);
    if (codes.size > 0) return;
    const mount = { readOnly: command.readOnly, uri: command.uri };
    if (names.length === 0) {
      this.root.mount = mount;
      return;
    }
    const parent = this.#find(names.slice(0, -1))!;
    parent.children.set(names.at(-1)!, { ...newDirectory(parent, caller, 0o755), mount });
  }

  #unmount(command: Command & { kind: 'unmount' }, caller: Caller, codes: Codes): void {
    const names = split(command.path);
    if (!caller.superuser) codes.add('PERMISSION_DENIED');
    const node = this.#find(names);
    if (node === undefined) this.#missing(names, codes);
    else if (node.mount === undefined) codes.add('INVALID_ARGUMENT');
    else if ([...node.children.values()].some(hasMount)) codes.add('CROSS_MOUNT');
    if (codes.size > 0) return;
    if (names.length === 0) {
      delete this.root.mount;
      this.root.children.clear();
    } else this.#find(names.slice(0, -1))!.children.delete(names.at(-1)!);
  }

  #find(names: readonly string[]): NaiveNode | undefined {
    let node: NaiveNode | undefined = this.root;
    for (const name of names) node = node?.children.get(name);
    return node;
  }

  #traverse(names: readonly string[], caller: Caller, codes: Codes): void {
    for (let count = 0; count < names.length; count++) {
      const node = this.#find(names.slice(0, count));
      if (node?.kind === 'directory' && !may(node, caller, 1)) codes.add('PERMISSION_DENIED');
    }
  }

  #missing(names: readonly string[], codes: Codes): void {
    for (let count = 0; count < names.length; count++) {
      if (this.#find(names.slice(0, count))?.kind === 'file') codes.add('NOT_A_DIRECTORY');
    }
    if (!codes.has('NOT_A_DIRECTORY')) codes.add('NOT_FOUND');
  }

  #mayAdd(names: readonly string[], recursive: boolean, caller: Caller, codes: Codes): void {
    let count = names.length - 1;
    while (this.#find(names.slice(0, count)) === undefined) count--;
    const deepest = this.#find(names.slice(0, count))!;
    if (deepest.kind === 'file') codes.add('NOT_A_DIRECTORY');
    else {
      if (count < names.length - 1 && !recursive) codes.add('NOT_FOUND');
      if (!may(deepest, caller, 3)) codes.add('PERMISSION_DENIED');
    }
  }

  #mayRemove(names: readonly string[], caller: Caller, codes: Codes): void {
    const parent = this.#find(names.slice(0, -1))!;
    if (!may(parent, caller, 3)) codes.add('PERMISSION_DENIED');
    const owners = [parent.owner, this.#find(names)!.owner];
    if ((parent.mode & 0o1000) !== 0 && !caller.superuser && !owners.includes(caller.user)) {
      codes.add('PERMISSION_DENIED');
    }
  }

  #makeParents(names: readonly string[], mode: number, caller: Caller): NaiveNode {
    let node = this.root;
    for (const name of names.slice(0, -1)) {
      const child: NaiveNode = node.children.get(name) ?? newDirectory(node, caller, withPassage(mode));
      node.children.set(name, child);
      node = child;
    }
    return node;
  }

  #mountOf(names: readonly string[]): { readonly path: string; readonly node: NaiveNode } | undefined {
    for (let count = names.length; count >= 0; count--) {
      const node = this.#find(names.slice(0, count));
      if (node?.mount !== undefined) return { path: names.slice(0, count).join('/'), node };
    }
    return undefined;
  }
}

function may(node: NaiveNode, caller: Caller, bits: number): boolean {
  if (caller.superuser) return true;
  const digits = [node.mode >> 6, node.mode >> 3, node.mode];
  const which = node.owner === caller.user ? 0 : caller.groups.includes(node.group) ? 1 : 2;
  return (digits[which]! & bits) === bits;
}

function withPassage(mode: number): number {
  let passable = (mode & 0o777) | 0o300;
  for (const [read, pass] of [
    [0o400, 0o100],
    [0o040, 0o010],
    [0o004, 0o001],
  ] as const) {
    if ((mode & read) !== 0) passable |= pass;
  }
  return passable;
}

function directory(owner: string, group: string, mode: number): NaiveNode {
  return {
    kind: 'directory',
    owner,
    group,
    mode,
    complete: true,
    lengthBytes: 0,
    version: '',
    pinned: false,
    children: new Map(),
  };
}

function newDirectory(parent: NaiveNode, caller: Caller, mode: number): NaiveNode {
  const made = directory(caller.user, groupIn(parent, caller), mode | (parent.mode & 0o2000));
  made.pinned = parent.pinned;
  return made;
}

function groupIn(parent: NaiveNode, caller: Caller): string {
  return (parent.mode & 0o2000) !== 0 ? parent.group : caller.groups[0]!;
}

function hasMount(node: NaiveNode): boolean {
  return mountsIn(node).length > 0;
}

function mountsIn(node: NaiveNode): NaiveNode[] {
  const below = [...node.children.values()].flatMap(mountsIn);
  return node.mount === undefined ? below : [node, ...below];
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '');
}
