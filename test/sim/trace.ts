import { describeEffect, describeEvent } from '../../src/raft/describe.ts';
import type { Effect } from '../../src/raft/effect.ts';
import type { Event } from '../../src/raft/event.ts';
import type { NodeId } from '../../src/raft/position.ts';

const REMEMBERED = 200;

/** Something that happened; put into words only when somebody wants to read it. */
type Happening =
  | { readonly text: string }
  | { readonly at: number; readonly node: NodeId; readonly event: Event }
  | { readonly at: number; readonly node: NodeId; readonly effect: Effect };

/** What happened: a hash of all of it, and the end of it in words. */
export class Trace {
  readonly #last: Happening[] = [];
  readonly #words = new Map<string, number>();
  #hash = 0x811c9dc5;
  #count = 0;

  get hash(): number {
    return this.#hash >>> 0;
  }

  get count(): number {
    return this.#count;
  }

  add(text: string): void {
    this.#mix(text);
    this.#remember({ text });
  }

  /** A node was given this. */
  heard(at: number, node: NodeId, event: Event): void {
    this.#mixNumber(at);
    this.#mix(node);
    this.#mix(event);
    this.#remember({ at, node, event });
  }

  /** A node wants this done. */
  decided(at: number, node: NodeId, effect: Effect): void {
    this.#mixNumber(at);
    this.#mix(node);
    this.#mix(effect);
    this.#remember({ at, node, effect });
  }

  /** The last lines, oldest first. */
  tail(): string[] {
    const from = this.#count % REMEMBERED;
    return [...this.#last.slice(from), ...this.#last.slice(0, from)].map(lineOf);
  }

  #remember(happening: Happening): void {
    this.#last[this.#count % REMEMBERED] = happening;
    this.#count += 1;
  }

  /** All fields, of lists of entries the two ends; content of bytes is not looked at. */
  #mix(value: unknown): void {
    if (typeof value === 'number') this.#mixNumber(value);
    else if (typeof value === 'string') this.#mixNumber(this.#numberOf(value));
    else if (typeof value !== 'object' || value === null) this.#mixNumber(value === true ? 1 : 2);
    else if (value instanceof Uint8Array) this.#mixNumber(value.length);
    else if (Array.isArray(value)) {
      this.#mixNumber(value.length);
      if (typeof value[0] !== 'object') for (const each of value) this.#mix(each);
      else {
        this.#mix(value[0]);
        this.#mix(value.at(-1));
      }
    } else for (const key in value) this.#mix((value as Record<string, unknown>)[key]);
  }

  #mixNumber(value: number): void {
    this.#hash = Math.imul(Math.imul(this.#hash ^ value, 0x01000193) ^ (value / 2 ** 32), 0x01000193);
  }

  #numberOf(word: string): number {
    const known = this.#words.get(word);
    if (known !== undefined) return known;
    let hash = 0x811c9dc5;
    for (let i = 0; i < word.length; i += 1) hash = Math.imul(hash ^ word.charCodeAt(i), 0x01000193);
    this.#words.set(word, hash);
    return hash;
  }
}

function lineOf(happening: Happening): string {
  if ('text' in happening) return happening.text;
  const { at, node } = happening;
  return 'event' in happening
    ? `${at} ${node} < ${describeEvent(happening.event)}`
    : `${at} ${node} > ${describeEffect(happening.effect)}`;
}
