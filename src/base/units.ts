const BYTE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  PiB: 2 ** 50,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
};

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3 };

function parseQuantity(text: string, units: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null) return undefined;
  const [, digits = '', unit = ''] = match;
  const factor = Object.entries(units).find(([name]) => name.toLowerCase() === unit.toLowerCase())?.[1];
  if (factor === undefined && unit !== '') return undefined;
  if (factor === undefined && digits !== '0' && units === DURATION_UNITS) return undefined;
  const value = Math.round(Number(digits) * (factor ?? 1));
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Bytes of `64MiB`, `1.5 GB`, `4096`; undefined when the text is none. Units do not care for case. */
export function parseBytes(text: string): number | undefined {
  return parseQuantity(text, BYTE_UNITS);
}

/** Milliseconds of `500ms`, `10s`, `2m`, `1h`, `7d`, `0`; undefined when the text is none. A unit is required. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(text, DURATION_UNITS);
}

/** Bytes for people: `0B`, `1.5KiB`, `64MiB`. */
export function formatBytes(bytes: number): string {
  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let step = 0;
  while (Math.abs(value) >= 1024 && step < names.length - 1) {
    value /= 1024;
    step += 1;
  }
  const digits = Number.isInteger(value) || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1);
  return `${digits}${names[step]}`;
}

/** A duration for people: `250ms`, `1.5s`, `3m`, `2h`. */
export function formatDuration(ms: number): string {
  for (const [unit, factor] of [
    ['d', 86400e3],
    ['h', 3600e3],
    ['m', 60e3],
    ['s', 1e3],
  ] as const) {
    if (Math.abs(ms) >= factor) {
      const value = ms / factor;
      return `${Number.isInteger(value) ? value : value.toFixed(1)}${unit}`;
    }
  }
  return `${Math.round(ms)}ms`;
}
