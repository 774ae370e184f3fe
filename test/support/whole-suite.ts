/** Whether long tests run in full (`npm test -- --all`) rather than in the short form that CI has time for. */
export const WHOLE_SUITE = process.env.LORIKEET_TEST_ALL === '1';

/** The cases to run: all of them, or every so many that about `count` are left, the first and the last included. */
export function sampled<T>(cases: readonly T[], count: number): readonly T[] {
  if (WHOLE_SUITE || cases.length <= count) return cases;
  const step = (cases.length - 1) / Math.max(1, count - 1);
  return Array.from({ length: count }, (_, i) => cases[Math.round(i * step)] as T);
}
