/** @typedef {import('./outcome.mjs').Figures} Figures */
/** @typedef {{ perSecond: number, overloaded: boolean, figures: Figures }} RatePoint */

/** A rate is carried when so many of its requests met both limits. */
export const CARRIED_SHARE = 0.9;

/** @param {RatePoint} point */
export const isCarried = ({ overloaded, figures }) => !overloaded && figures.metShare >= CARRIED_SHARE;

/**
 * The knee: the highest rate that is carried, below the lowest that is not. A lucky run above an overloaded one does not
 * count. `missed` is undefined when every rate was carried: the knee then lies above.
 * @param {readonly RatePoint[]} points
 * @returns {{ carried: RatePoint | undefined, missed: RatePoint | undefined }}
 */
export function findKnee(points) {
  const sorted = [...points].sort((a, b) => a.perSecond - b.perSecond);
  const first = sorted.findIndex((point) => !isCarried(point));
  if (first < 0) return { carried: sorted.at(-1), missed: undefined };
  return { carried: first === 0 ? undefined : sorted[first - 1], missed: sorted[first] };
}

/**
 * The rate to try next, halfway between the two sides of the knee; undefined when they are close enough or when there
 * are not two sides.
 * @param {readonly RatePoint[]} points
 * @param {number} closeness  relative, e.g. 0.1
 */
export function nextRate(points, closeness) {
  const { carried, missed } = findKnee(points);
  if (!carried || !missed || missed.perSecond <= carried.perSecond * (1 + closeness)) return undefined;
  return (carried.perSecond + missed.perSecond) / 2;
}
