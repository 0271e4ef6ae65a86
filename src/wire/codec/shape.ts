import { Packr } from 'msgpackr';
import { SluiceError } from '../../model/errors.ts';

/** Turns values of the model into compact arrays for storage and back; what comes back is checked. */
export interface Shape<T> {
  readonly optional?: boolean;
  pack(value: T): unknown;
  /** @throws SluiceError CORRUPT when it is something else, UNSUPPORTED when a newer version wrote it. */
  unpack(packed: unknown): T;
}

/** A shape for a field that may be absent. */
export interface OptionalShape<T> extends Shape<T> {
  readonly optional: true;
}

function checked<T>(what: string, test: (value: unknown) => boolean): Shape<T> {
  return {
    pack: (value) => value,
    unpack(packed) {
      if (!test(packed)) throw new SluiceError('CORRUPT', `A stored ${what} is something else: the record is damaged`);
      return packed as T;
    },
  };
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export const text: Shape<string> = checked('text', (value) => typeof value === 'string');
export const number: Shape<number> = checked('number', (value) => typeof value === 'number');
export const flag: Shape<boolean> = checked('flag', (value) => typeof value === 'boolean');
export const texts: Shape<readonly string[]> = checked('list of texts', isTexts);

/** A flat object whose values are texts, numbers or flags. */
export function dictionary<V extends string | number | boolean>(): Shape<Readonly<Record<string, V>>> {
  return checked('dictionary', isObject);
}

/** One of a few words, stored as its place in the list: only append to it. */
export function word<W extends string>(words: readonly W[]): Shape<W> {
  return {
    pack: (value) => words.indexOf(value),
    unpack(packed) {
      const value = typeof packed === 'number' ? words[packed] : undefined;
      if (value === undefined) throw newer(`word ${String(packed)}`);
      return value;
    },
  };
}

export function listOf<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    pack: (value) => value.map((each) => item.pack(each)),
    unpack(packed) {
      if (!Array.isArray(packed)) throw new SluiceError('CORRUPT', 'A stored list is something else');
      return packed.map((each) => item.unpack(each));
    },
  };
}

/** A field that may be absent. */
export function optional<T>(shape: Shape<T>): OptionalShape<T> {
  return { pack: (value) => shape.pack(value), unpack: (packed) => shape.unpack(packed), optional: true };
}

/** A shape for each field; the order of this literal is the order in storage: only append to it. */
export type FieldShapes<T> = {
  readonly [K in keyof T]-?: Partial<Pick<T, K>> extends Pick<T, K>
    ? OptionalShape<Exclude<T[K], undefined>>
    : Shape<T[K]>;
};

/** An object as the array of its fields. */
export function row<T extends object>(fields: FieldShapes<T>): Shape<T> {
  const names = Object.keys(fields) as (keyof T & string)[];
  const shapes = Object.values(fields) as Shape<unknown>[];
  return {
    pack(value) {
      const packed: unknown[] = [];
      for (let i = 0; i < shapes.length; i += 1) {
        const field = value[names[i] as keyof T];
        packed.push(field === undefined ? null : shapes[i]?.pack(field));
      }
      return packed;
    },
    unpack(packed) {
      if (!Array.isArray(packed)) throw new SluiceError('CORRUPT', 'A stored object is something else');
      if (packed.length > shapes.length) throw newer(`object with ${packed.length} fields`);
      const value: Record<string, unknown> = {};
      for (let i = 0; i < shapes.length; i += 1) {
        const shape = shapes[i];
        const field: unknown = packed[i];
        if (field !== null && field !== undefined) value[names[i] ?? ''] = shape?.unpack(field);
        else if (shape?.optional !== true)
          throw new SluiceError('CORRUPT', `Field ${names[i]} of a stored object is missing: the record is damaged`);
      }
      return value as T;
    },
  };
}

/** A number that names the variant for ever, and the shape of what it holds beside `kind`. */
export type Variants<T extends { readonly kind: string }> = {
  readonly [K in T['kind']]: readonly [code: number, shape: Shape<Omit<Extract<T, { readonly kind: K }>, 'kind'>>];
};

/** A tagged union as code and object. */
export function union<T extends { readonly kind: string }>(variants: Variants<T>): Shape<T> {
  type Variant = readonly [kind: string, code: number, shape: Shape<object>];
  const entries = Object.entries(variants) as [string, readonly [number, Shape<object>]][];
  const all: Variant[] = entries.map(([kind, [code, shape]]) => [kind, code, shape]);
  const byKind = new Map(all.map((variant) => [variant[0], variant]));
  const byCode = new Map(all.map((variant) => [variant[1], variant]));
  return {
    pack(value) {
      const [, code, shape] = byKind.get(value.kind) ?? unknownKind(value.kind);
      return [code, shape.pack(value)];
    },
    unpack(packed) {
      const [code, body] = Array.isArray(packed) ? packed : [];
      const [kind, , shape] = byCode.get(code) ?? unknownKind(String(code));
      return { kind, ...shape.unpack(body) } as unknown as T;
    },
  };
}

function unknownKind(kind: string): never {
  throw newer(`kind ${kind}`);
}

function newer(what: string): SluiceError {
  return new SluiceError('UNSUPPORTED', `Stored ${what} is not known: a newer version wrote it; run that version`);
}

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });

/** Bytes of a value that consists of arrays, flat objects, texts, numbers, flags and null. */
export function toBytes(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** @throws SluiceError CORRUPT when the bytes are not what `toBytes` makes. */
export function fromBytes(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch (thrown) {
    throw SluiceError.from(thrown, 'CORRUPT', 'A stored record cannot be decoded');
  }
}
