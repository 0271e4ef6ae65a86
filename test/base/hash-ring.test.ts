import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HashRing, type RingNode } from '../../src/base/hash-ring.ts';

const nodes = fc.uniqueArray(
  fc.record({ id: fc.uuid(), weight: fc.integer({ min: 1, max: 1000 }).map((gib) => gib * 2 ** 30) }),
  { minLength: 1, maxLength: 12, selector: (node) => node.id },
);
const key = fc.tuple(fc.maxSafeNat(), fc.nat(100_000));

function owners(ring: HashRing, files: number): string[] {
  return Array.from({ length: files }, (_, id) => ring.place(id, 0, 1)[0]!);
}

function same(count: number, weight: (index: number) => number = () => 1): RingNode[] {
  return Array.from({ length: count }, (_, index) => ({ id: `worker-${index}`, weight: weight(index) }));
}

describe('HashRing', () => {
  test('an empty ring places nothing', () => {
    expect(new HashRing([]).place(1, 2, 3)).toEqual([]);
  });

  test('the placement is fixed: it must not change between versions', () => {
    const ring = new HashRing(same(5));
    expect(ring.place(1, 0, 5)).toMatchInlineSnapshot(`
      [
        "worker-0",
        "worker-2",
        "worker-1",
        "worker-4",
        "worker-3",
      ]
    `);
    expect(ring.place(2 ** 40, 7, 3)).toMatchInlineSnapshot(`
      [
        "worker-1",
        "worker-0",
        "worker-2",
      ]
    `);
  });

  test('gives distinct nodes, all when asked for more, whatever the order of the nodes', () => {
    fc.assert(
      fc.property(nodes, key, fc.nat(15), (some, [high, low], count) => {
        const found = new HashRing(some).place(high, low, count);
        expect(new Set(found).size).toBe(Math.min(count, some.length));
        expect(found).toEqual(new HashRing([...some].reverse()).place(high, low, count));
        expect(found).toEqual(new HashRing(some).place(high, low, 100).slice(0, count));
      }),
    );
  });

  test('without a node the others keep their order', () => {
    fc.assert(
      fc.property(nodes, key, (some, [high, low]) => {
        const heaviest = Math.max(...some.map((node) => node.weight));
        const leaving = some.find((node) => node.weight < heaviest);
        if (leaving === undefined) return;
        const before = new HashRing(some).place(high, low, some.length);
        const after = new HashRing(some.filter((node) => node !== leaving)).place(high, low, some.length);
        expect(after).toEqual(before.filter((id) => id !== leaving.id));
      }),
    );
  });

  test('a new node takes its share and moves nothing between the old ones', () => {
    const files = 20_000;
    const before = owners(new HashRing(same(9)), files);
    const after = owners(new HashRing(same(10)), files);
    const moved = after.filter((owner, index) => owner !== before[index]);
    expect(new Set(moved)).toEqual(new Set(['worker-9']));
    expect(moved.length / files).toBeGreaterThan(0.05);
    expect(moved.length / files).toBeLessThan(0.15);
  });

  test.each([
    ['equal weights', same(8)],
    ['two equal workers', same(2)],
    ['one worker twice as large', same(4, (index) => (index === 0 ? 2e12 : 1e12))],
    ['weights one to six', same(6, (index) => index + 1)],
  ])('balances: %s', (_, some) => {
    const files = 40_000;
    const total = some.reduce((sum, node) => sum + node.weight, 0);
    const found = owners(new HashRing(some), files);
    for (const { id, weight } of some) {
      const share = found.filter((owner) => owner === id).length / files;
      expect(share / (weight / total)).toBeGreaterThan(0.75);
      expect(share / (weight / total)).toBeLessThan(1.3);
    }
  });

  test('blocks of one file spread over the workers', () => {
    const ring = new HashRing(same(4));
    const found = Array.from({ length: 400 }, (_, block) => ring.place(77, block, 1)[0]);
    for (const { id } of same(4)) expect(found.filter((owner) => owner === id).length).toBeGreaterThan(50);
  });
});
