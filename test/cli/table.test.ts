import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatTable } from '../../src/cli/table.ts';

describe('formatTable', () => {
  test.each([
    [
      'words left, numbers right',
      [
        ['a', 1],
        ['bbb', 22],
      ],
      undefined,
      ['a     1', 'bbb  22'],
    ],
    ['rows may be shorter', [['a', 'b'], ['c']], undefined, ['a  b', 'c']],
    ['nothing', [], undefined, []],
    ['the widest column is cut', [['x', 'a long text that is cut']], 20, ['x  a long text that…']],
    ['a column is not cut below eight', [['aaaaaaaaaaaa', 'bbbbbbbbbbbb']], 4, ['aaaaaaa…  bbbbbbb…']],
  ])('%s', (_, rows, columns, wanted) => {
    expect(formatTable(rows, columns)).toEqual(wanted);
  });

  test('fits every width that has room for the columns', () => {
    const cell = fc.string({ maxLength: 40 });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell, cell), { maxLength: 5 }),
        fc.integer({ min: 28, max: 120 }),
        (rows, width) => {
          for (const line of formatTable(rows, width)) expect(line.length).toBeLessThanOrEqual(width);
        },
      ),
    );
  });
});
