import fc from 'fast-check';
import { Packr } from 'msgpackr';
import { expect, test } from 'vitest';
import { PackReader } from '../../src/wire/codec/pack-reader.ts';
import { PackWriter } from '../../src/wire/codec/pack-writer.ts';

type Value = string | number | boolean | null | readonly Value[];

const packr = new Packr({ useRecords: false });
const writer = new PackWriter();

function write(value: Value): void {
  if (value === null) writer.nil();
  else if (typeof value === 'string') writer.text(value);
  else if (typeof value === 'number') writer.number(value);
  else if (typeof value === 'boolean') writer.flag(value);
  else {
    writer.array(value.length);
    for (const each of value) write(each);
  }
}

function pack(value: Value): Buffer {
  writer.begin(0);
  write(value);
  return writer.finish();
}

const edges = [
  0,
  31,
  32,
  127,
  128,
  255,
  256,
  65_535,
  65_536,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 53,
  -1,
  -32,
  -33,
  -129,
];
const number = fc.oneof(fc.constantFrom(...edges), fc.integer(), fc.maxSafeInteger(), fc.double({ noNaN: true }));
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.nat(70_000).map((length) => 'a'.repeat(length)),
  fc.nat(300).map((length) => 'ä'.repeat(length)),
);
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    text,
    number,
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 20 }),
  ),
}));

function same(a: Value, b: Value): void {
  expect(a).toEqual(b);
}

test('what is written is MessagePack as others read it', () => {
  const earlier: [Buffer, Value][] = [];
  fc.assert(
    fc.property(value, (given) => {
      const plain = JSON.parse(JSON.stringify(given)) as Value;
      const bytes = pack(plain);
      earlier.push([bytes, plain]);
      same(packr.unpack(bytes) as Value, plain);
    }),
  );
  // Records stay what they were when later ones are written.
  for (const [bytes, plain] of earlier) same(packr.unpack(bytes) as Value, plain);
});

test('texts and numbers are read back, from ourselves and from others', () => {
  fc.assert(
    fc.property(text, number, (word, count) => {
      for (const bytes of [pack([word, count]), packr.pack([word, count])]) {
        const reader = new PackReader(bytes);
        expect(reader.array('list')).toBe(2);
        expect(reader.text()).toBe(word);
        expect(reader.number()).toBe(Object.is(count, -0) ? 0 : count);
        reader.end();
      }
    }),
  );
});

test('a record that is cut is CORRUPT wherever the cut is', () => {
  const bytes = pack(['a text', 'x'.repeat(300), 70_000, 1.5, true]);
  for (let size = 0; size < bytes.length; size += 1) {
    const reader = new PackReader(bytes.subarray(0, size));
    const read = () => {
      reader.array('list');
      reader.text();
      reader.text();
      reader.number();
      reader.number();
      reader.flag();
    };
    expect(read).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  }
});
