/** When the browser has nothing else to do; Safari has no word for that. */
export function whenIdle(work: () => void): () => void {
  if (typeof requestIdleCallback !== 'function') {
    const timer = setTimeout(work, 1_000);
    return () => clearTimeout(timer);
  }
  const request = requestIdleCallback(work, { timeout: 5_000 });
  return () => cancelIdleCallback(request);
}
