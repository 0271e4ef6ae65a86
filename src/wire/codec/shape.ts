import { crc32 } from 'node:zlib';
import { SluiceError } from '../../model/errors.ts';
import { PackReader } from './pack-reader.ts';
import { PackWriter } from './pack-writer.ts';

/** Writes values of the model as compact arrays for storage and reads them back; what comes back is checked. */
export interface Shape<T> {
  readonly optional?: boolean;
  write(writer: PackWriter, value: T): void;
  /** @throws SluiceError CORRUPT when it is something else, UNSUPPORTED when a newer version wrote it. */
  read(reader: PackReader): T;
}

/** A shape for a field that may be absent. */
export interface OptionalShape<T> extends Shape<T> {
  readonly optional: true;
}

export const text: Shape<string> = {
  write: (writer, value) => writer.text(value),
  read: (reader) => reader.text(),
};

export const number: Shape<number> = {
  write: (writer, value) => writer.number(value),
  read: (reader) => reader.number(),
};

export const flag: Shape<boolean> = {
  write: (writer, value) => writer.flag(value),
  read: (reader) => reader.flag(),
};

export const texts: Shape<readonly string[]> = listOf(text);

/** A flat object whose values are texts, numbers or flags. */
export function dictionary<V extends string | number | boolean>(): Shape<Readonly<Record<string, V>>> {
  return {
    write(writer, value) {
      const entries = Object.entries(value);
      writer.map(entries.length);
      for (const [key, each] of entries) {
        writer.text(key);
        if (typeof each === 'string') writer.text(each);
        else if (typeof each === 'number') writer.number(each);
        else writer.flag(each);
      }
    },
    read(reader) {
      const entries: [string, V][] = [];
      for (let left = reader.map('dictionary'); left > 0; left -= 1)
        entries.push([reader.text(), reader.scalar() as V]);
      return Object.fromEntries(entries);
    },
  };
}

/** One of a few words, stored as its place in the list: only append to it. */
export function word<W extends string>(words: readonly W[]): Shape<W> {
  return {
    write: (writer, value) => writer.number(words.indexOf(value)),
    read(reader) {
      const place = reader.number();
      const value = words[place];
      if (value === undefined) throw newer(`word ${place}`);
      return value;
    },
  };
}

export function listOf<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    write(writer, value) {
      writer.array(value.length);
      for (const each of value) item.write(writer, each);
    },
    read(reader) {
      const items: T[] = [];
      for (let left = reader.array('list'); left > 0; left -= 1) items.push(item.read(reader));
      return items;
    },
  };
}

/** A field that may be absent. */
export function optional<T>(shape: Shape<T>): OptionalShape<T> {
  return { ...shape, optional: true };
}

/** A shape for each field; the order of this literal is the order in storage: only append to it. */
export type FieldShapes<T> = {
  readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K>
    ? OptionalShape<Exclude<T[K], undefined>>
    : Shape<T[K]>;
};

/** The shape of an object. */
export interface RowShape<T> extends Shape<T> {
  /** The same shape, whose objects have a `kind` that is not stored with them. */
  ofKind(kind: string): Shape<T>;
}

/**
 * An object as the array of its fields. Reading and writing are generated as code that names each field: a loop over
 * the fields takes three times as long, because one place of code then sees every kind of object and of field.
 */
export function row<T extends object>(fields: FieldShapes<T>, kind?: string): RowShape<T> {
  const names = Object.keys(fields);
  const shapes = Object.values(fields) as Shape<unknown>[];
  const list = (code: (place: string, name: string, i: number) => string, from = names) =>
    from.map((name, i) => code(`f${names.indexOf(name)}`, JSON.stringify(name), i)).join('\n');
  const optionals = names.filter((_, i) => shapes[i]?.optional === true);
  const required = names.filter((_, i) => shapes[i]?.optional !== true);
  const write = compile<Shape<T>['write']>(
    `return (writer, value) => {
      writer.array(${names.length});
      ${list((f, name) => `const ${f} = value[${name}];`)}
      ${list((f) => `if (${f} === undefined) writer.nil(); else ${f}_.write(writer, ${f});`)}
    };`,
    shapes,
  );
  const read = compile<(reader: PackReader, count: number) => T>(
    `return (reader, count) => {
      ${list((f, _, i) => `const ${f} = count > ${i} && !reader.nil() ? ${f}_.read(reader) : undefined;`)}
      const value = {
        ${kind === undefined ? '' : `kind: ${JSON.stringify(kind)},`}
        ${list((f, name) => `[${name}]: ${f},`, required)}
      };
      ${list((f, name) => `if (${f} === undefined) missing(${name});`, required)}
      ${list((f, name) => `if (${f} !== undefined) value[${name}] = ${f};`, optionals)}
      return value;
    };`,
    shapes,
  );
  return {
    ofKind: (name) => row(fields, name),
    write,
    read(reader) {
      const count = reader.array('object');
      if (count > names.length) throw newer(`object with ${count} fields`);
      return read(reader, count);
    },
  };
}

/** Makes the function that `code` returns; it sees the shapes as `f0_`, `f1_` … */
function compile<F>(code: string, shapes: readonly Shape<unknown>[]): F {
  const places = shapes.map((_, i) => `f${i}_`);
  return new Function('missing', ...places, code)(missing, ...shapes) as F;
}

function missing(name: string): never {
  throw new SluiceError('CORRUPT', `Field ${name} of a stored object is missing: the record is damaged`);
}

/** A number that names the variant for ever, and the shape of what it holds beside `kind`. */
export type Variants<T extends { readonly kind: string }> = {
  readonly [K in T['kind']]: readonly [code: number, shape: RowShape<Omit<Extract<T, { readonly kind: K }>, 'kind'>>];
};

/** A tagged union as code and object. */
export function union<T extends { readonly kind: string }>(variants: Variants<T>): Shape<T> {
  const entries = Object.entries(variants) as [string, readonly [number, RowShape<object>]][];
  const all = entries.map(([kind, [code, shape]]) => ({ kind, code, shape: shape.ofKind(kind) as Shape<unknown> }));
  const byKind = new Map(all.map((variant) => [variant.kind, variant]));
  const byCode = new Map(all.map((variant) => [variant.code, variant]));
  return {
    write(writer, value) {
      const { code, shape } = byKind.get(value.kind) ?? unknownKind(value.kind);
      writer.array(2);
      writer.number(code);
      shape.write(writer, value);
    },
    read(reader) {
      const items = reader.array('union');
      const code = items === 2 ? reader.number() : undefined;
      const { shape } = byCode.get(code ?? -1) ?? unknownKind(String(code));
      return shape.read(reader) as T;
    },
  };
}

function unknownKind(kind: string): never {
  throw newer(`kind ${kind}`);
}

function newer(what: string): SluiceError {
  return new SluiceError('UNSUPPORTED', `Stored ${what} is not known: a newer version wrote it; run that version`);
}

const CRC_BYTES = 4;
/** Entries live longer than rows, which are written at once: they must not keep each other's memory. */
const plain = new PackWriter();
const sealed = new PackWriter();

/** Bytes of a value. */
export function toBytes<T>(shape: Shape<T>, value: T): Uint8Array {
  plain.begin(0);
  shape.write(plain, value);
  return plain.finish();
}

/**
 * @param start Where in `bytes` the value begins.
 * @throws SluiceError CORRUPT when the bytes are not what `toBytes` makes, UNSUPPORTED when a newer version did.
 */
export function fromBytes<T>(shape: Shape<T>, bytes: Uint8Array, start = 0): T {
  const reader = new PackReader(bytes, start);
  const value = shape.read(reader);
  reader.end();
  return value;
}

/** Bytes of a value behind their checksum. */
export function toSealedBytes<T>(shape: Shape<T>, value: T): Uint8Array {
  sealed.begin(CRC_BYTES);
  shape.write(sealed, value);
  const bytes = sealed.finish();
  bytes.writeUInt32LE(crc32(bytes.subarray(CRC_BYTES)), 0);
  return bytes;
}

/** What `toSealedBytes` sealed, when the bytes have not left this process's memory. */
export function fromOwnBytes<T>(shape: Shape<T>, bytes: Uint8Array): T {
  return fromBytes(shape, bytes, CRC_BYTES);
}

/** Whether the checksum fits; what is behind it is not looked at. */
export function isSealed(bytes: Uint8Array): boolean {
  const at = (i: number) => bytes[i] ?? 0;
  const expected = (at(0) | (at(1) << 8) | (at(2) << 16) | (at(3) << 24)) >>> 0;
  return bytes.length >= CRC_BYTES && expected === crc32(bytes.subarray(CRC_BYTES));
}

/** What `toSealedBytes` sealed. @throws SluiceError CORRUPT (the message begins with `what`), UNSUPPORTED */
export function fromSealedBytes<T>(shape: Shape<T>, bytes: Uint8Array, what: string): T {
  if (isSealed(bytes)) return fromOwnBytes(shape, bytes);
  throw new SluiceError('CORRUPT', `The checksum of a ${what} is wrong: its database is damaged`);
}
