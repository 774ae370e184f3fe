/** Sums by name; a name that is absent is 0. */
export type Figures = Readonly<Record<string, number>>;

export function addFigures(a: Figures, b: Figures): Figures {
  const sums: Record<string, number> = { ...a };
  for (const [name, value] of Object.entries(b)) sums[name] = (sums[name] ?? 0) + value;
  return sums;
}

/** The mean that a sum and its count give; null without a count. */
export function meanOf(sum: number | undefined, count: number | undefined): number | null {
  return count ? (sum ?? 0) / count : null;
}
