/** The cells of a line; numbers stand at the right. */
export type Row = readonly (string | number)[];

const GAP = '  ';
/** A column is not cut below this. */
const MIN_WIDTH = 8;

/**
 * Lines of a table. When it is wider than `columns`, the widest column is cut until it fits, as far as it can be.
 */
export function formatTable(rows: readonly Row[], columns?: number): string[] {
  const count = rows.reduce((most, row) => Math.max(most, row.length), 0);
  const widths = Array.from({ length: count }, (_, index) =>
    rows.reduce((most, row) => Math.max(most, text(row[index]).length), 0),
  );
  if (columns !== undefined) shrink(widths, columns);
  return rows.map((row) => {
    const cells = row.map((cell, index) => padded(cell, widths[index] ?? 0));
    return cells.join(GAP).trimEnd();
  });
}

function shrink(widths: number[], columns: number): void {
  const total = () => widths.reduce((sum, width) => sum + width, GAP.length * (widths.length - 1));
  for (let excess = total() - columns; excess > 0; excess = total() - columns) {
    const widest = widths.indexOf(Math.max(...widths));
    const others = Math.max(MIN_WIDTH, ...widths.filter((_, index) => index !== widest));
    const now = widths[widest] ?? 0;
    if (now <= MIN_WIDTH) return;
    widths[widest] = Math.max(MIN_WIDTH, now - excess, Math.min(others, now - 1));
  }
}

function padded(cell: string | number, width: number): string {
  const shown = text(cell);
  if (shown.length > width) return `${shown.slice(0, width - 1)}…`;
  return typeof cell === 'number' ? shown.padStart(width) : shown.padEnd(width);
}

function text(cell: string | number | undefined): string {
  return cell === undefined ? '' : String(cell);
}
