import { assert, must } from './assert.ts';

/** A node and its share of the ring; the unit of weights is the caller's. */
export interface RingNode {
  readonly id: string;
  /** Above zero. */
  readonly weight: number;
}

/** Points of the heaviest node are within half of this and this. */
const MAX_POINTS = 256;
/** A point is hash · 2^20 + index of its node: exact in a double, and one sort of numbers. */
const INDEX_FACTOR = 2 ** 20;

/**
 * Consistent hashing (Karger et al., 1997) with virtual nodes: each node stands at several points of a circle of 2^32,
 * a key belongs to the nodes that follow it. The order of nodes for a key depends on the nodes alone, not on the order
 * in which they are given, so every process places alike. Adding or removing a node moves only keys to or from it,
 * unless it makes the largest weight cross a power of two.
 */
export class HashRing {
  /** By id, so that it does not matter in which order they came. */
  readonly #nodes: readonly string[];
  /** Ascending. */
  readonly #points: Float64Array;

  constructor(nodes: readonly RingNode[]) {
    assert(nodes.length < INDEX_FACTOR, 'A ring has less than a million nodes');
    const sorted = [...nodes].sort((a, b) => (a.id < b.id ? -1 : 1));
    this.#nodes = sorted.map((node) => node.id);
    const heaviest = sorted.reduce((most, node) => Math.max(most, node.weight), 0);
    const unit = 2 ** Math.ceil(Math.log2(heaviest || 1)) / MAX_POINTS;
    const points: number[] = [];
    for (const [index, { id, weight }] of sorted.entries()) {
      const count = Math.max(1, Math.round(weight / unit));
      for (let replica = 0; replica < count; replica++)
        points.push(hashText(`${id}/${replica}`) * INDEX_FACTOR + index);
    }
    this.#points = Float64Array.from(points).sort();
  }

  /** The first `count` distinct nodes for a key of two whole numbers, or all when there are less. */
  place(high: number, low: number, count: number): string[] {
    const found: string[] = [];
    const wanted = Math.min(count, this.#nodes.length);
    const length = this.#points.length;
    for (let step = 0, at = this.#firstFrom(hashNumbers(high, low)); found.length < wanted; step++, at++) {
      assert(step < length, 'Every node has a point');
      const point = must(this.#points[at % length], 'The index is within the ring');
      const node = must(this.#nodes[point % INDEX_FACTOR], 'A point belongs to a node');
      if (!found.includes(node)) found.push(node);
    }
    return found;
  }

  #firstFrom(hash: number): number {
    const wanted = hash * INDEX_FACTOR;
    let low = 0;
    let high = this.#points.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#points[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** The finalizer of MurmurHash3: every bit of the input moves every bit of the result. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** FNV-1a over UTF-16 units, mixed. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return mix(hash);
}

/** Mixes both halves of two numbers below 2^53. */
function hashNumbers(a: number, b: number): number {
  let hash = 0;
  for (const part of [a / 2 ** 32, a, b / 2 ** 32, b]) hash = mix(hash ^ part) + 0x9e3779b9;
  return mix(hash);
}
