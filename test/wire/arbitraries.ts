import fc from 'fast-check';
import type { OperationName, Operations } from '../../src/model/operations.ts';
import type { FileStatus } from '../../src/model/status.ts';

/** Text with surrogate pairs, and strings around the sizes where codecs change their way. */
export const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.integer({ min: 0, max: 300 }).map((length) => 'x'.repeat(length)),
);
export const count = fc.oneof(fc.maxSafeNat(), fc.integer({ min: 0, max: 300 }), fc.nat());
export const time = fc.oneof(fc.maxSafeInteger(), fc.integer({ min: -2, max: 2 }));
/** Zigzag numbers have one bit less. */
export const signed = fc.integer({ min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER });
const mode = fc.integer({ min: 0, max: 0o7777 });
const writeType = fc.constantFrom('MUST_CACHE' as const, 'THROUGH' as const, 'CACHE_THROUGH' as const);
const ttlAction = fc.constantFrom('free' as const, 'delete' as const);
/** Names that are properties of every object, too; protobuf maps lose only `__proto__`. */
const options = fc.dictionary(
  text.filter((key) => key !== '__proto__'),
  text,
  { noNullPrototype: true, maxKeys: 5 },
);

export const status: fc.Arbitrary<FileStatus> = fc.record({
  path: text,
  name: text,
  id: count,
  kind: fc.constantFrom('file' as const, 'directory' as const),
  lengthBytes: count,
  blockSizeBytes: count,
  complete: fc.boolean(),
  owner: text,
  group: text,
  mode,
  createdMs: time,
  modifiedMs: time,
  accessedMs: time,
  changedMs: time,
  pinned: fc.boolean(),
  ttlMs: signed,
  ttlAction,
  persistence: fc.constantFrom('cached' as const, 'persisted' as const),
  writeType,
  version: text,
  childCount: count,
  mountPoint: fc.boolean(),
  mountId: count,
  ufsPath: text,
});

const mount = fc.record({
  id: count,
  path: text,
  inodeId: count,
  uri: text,
  options,
  readOnly: fc.boolean(),
  syncIntervalMs: signed,
  mountedMs: time,
});

export const worker = fc.record({ id: text, address: text, host: text, capacityBytes: count });

export const workerStatus = fc
  .tuple(
    worker,
    fc.record({
      state: fc.constantFrom('live' as const, 'lost' as const),
      lastHeardMs: signed,
      usedBytes: count,
      pageCount: count,
      registeredMs: time,
    }),
  )
  .map(([registration, rest]) => ({ ...registration, ...rest }));

export const workerList = fc.record({ version: count, workers: fc.array(workerStatus, { maxLength: 4 }) });
export const mounts = fc.array(mount, { maxLength: 4 });

const nothing = fc.constant({});
const path = fc.record({ path: text });

/** Requests and replies of every operation. */
export const operations: {
  readonly [N in OperationName]: readonly [
    fc.Arbitrary<Operations[N]['request']>,
    fc.Arbitrary<Operations[N]['reply']>,
  ];
} = {
  createFile: [
    fc.record({
      path: text,
      mode,
      writeType,
      blockSizeBytes: count,
      recursive: fc.boolean(),
      overwrite: fc.boolean(),
      empty: fc.boolean(),
    }),
    status,
  ],
  completeFile: [
    fc.record({ path: text, id: count, lengthBytes: count, ufsVersion: text, ufsModifiedMs: signed }),
    status,
  ],
  makeDirectory: [fc.record({ path: text, mode, recursive: fc.boolean(), allowExists: fc.boolean() }), status],
  delete: [fc.record({ path: text, recursive: fc.boolean(), keepUfs: fc.boolean(), id: count }), nothing],
  rename: [fc.record({ source: text, target: text, overwrite: fc.boolean() }), nothing],
  setAttributes: [
    fc.record(
      {
        path: text,
        mode,
        owner: text,
        group: text,
        modifiedMs: time,
        accessedMs: time,
        pinned: fc.boolean(),
        ttlMs: signed,
        ttlAction,
      },
      { requiredKeys: ['path'] },
    ),
    status,
  ],
  getStatus: [path.chain((asked) => fc.boolean().map((sync) => ({ ...asked, sync }))), status],
  exists: [path, fc.record({ exists: fc.boolean() })],
  listStatus: [
    fc.record({ path: text, recursive: fc.boolean(), cursor: text, sync: fc.boolean(), limit: fc.nat() }),
    fc.record({ entries: fc.array(status, { maxLength: 5 }), cursor: text }),
  ],
  mount: [fc.record({ path: text, uri: text, options, readOnly: fc.boolean(), syncIntervalMs: signed }), mount],
  unmount: [path, nothing],
  getMountTable: [nothing, fc.record({ mounts })],
  getWorkers: [nothing, workerList],
};
