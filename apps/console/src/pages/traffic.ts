/** Percent of the traffic by version; whole numbers that add up to 100 wherever there is a version. */
export type Traffic = Readonly<Record<string, number>>;

const WHOLE = 100;
/** What a version gets that is added to others: a canary. */
const CANARY = 10;

/** The same shares of `total`, as whole numbers that add up to it; the largest takes what rounding leaves. */
function scaled(traffic: Traffic, total: number): Record<string, number> {
  const entries = Object.entries(traffic);
  const sum = entries.reduce((all, [, share]) => all + share, 0);
  const result = Object.fromEntries(
    entries.map(([version, share]) => [
      version,
      Math.round(sum === 0 ? total / entries.length : (share / sum) * total),
    ]),
  );
  const [largest] = Object.keys(result).sort((a, b) => (result[b] ?? 0) - (result[a] ?? 0));
  if (largest !== undefined) {
    const rest = total - Object.values(result).reduce((all, share) => all + share, 0);
    result[largest] = (result[largest] ?? 0) + rest;
  }
  return result;
}

/** From an alias's routes, whose weights are of any scale. */
export function trafficOf(routes: readonly { readonly version: number; readonly weight: number }[]): Traffic {
  return scaled(Object.fromEntries(routes.map(({ version, weight }) => [version, weight])), WHOLE);
}

/** Exactly these versions: who is new begins as a canary, and the others share the rest as before. */
export function choose(traffic: Traffic, versions: readonly string[]): Traffic {
  const kept = Object.fromEntries(
    versions.filter((version) => version in traffic).map((version) => [version, traffic[version] ?? 0]),
  );
  const added = versions.filter((version) => !(version in traffic));
  if (Object.keys(kept).length === 0)
    return scaled(Object.fromEntries(added.map((each) => [each, 1])), WHOLE);
  const forAdded = Math.min(WHOLE, added.length * CANARY);
  const canaries = scaled(Object.fromEntries(added.map((each) => [each, 1])), forAdded);
  return { ...scaled(kept, WHOLE - forAdded), ...canaries };
}

/** This share for one version; the others share the rest as before. */
export function give(traffic: Traffic, version: string, share: number): Traffic {
  const { [version]: _, ...others } = traffic;
  if (Object.keys(others).length === 0) return { [version]: WHOLE };
  return { ...scaled(others, WHOLE - share), [version]: share };
}
