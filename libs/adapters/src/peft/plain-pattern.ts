/** A name that holds nothing special to a regular expression but dots. */
export const isPlainPattern = (pattern: string): boolean => /^[A-Za-z0-9_.-]+$/.test(pattern);

/** What Python's re.match(`(.*\.)?(pattern)$`, path) says for a plain pattern, whose dots match any character. */
export function plainPatternEnds(path: string, pattern: string): boolean {
  const start = path.length - pattern.length;
  if (start < 0 || (start > 0 && path[start - 1] !== '.')) return false;
  for (let at = 0; at < pattern.length; at += 1) {
    if (pattern[at] !== '.' && pattern[at] !== path[start + at]) return false;
  }
  return true;
}
