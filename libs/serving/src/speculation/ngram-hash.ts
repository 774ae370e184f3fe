/** Of the `n` tokens before `end`. */
export function ngramHash(tokens: Int32Array, end: number, n: number): number {
  let hash = 0;
  for (let at = end - n; at < end; at++) hash = (Math.imul(hash, 0x01000193) ^ (tokens[at] as number)) | 0;
  return hash;
}

/** Whether the `n` tokens of `past` before `end` are the last `n` of `tokens`. */
export function sameNgram(
  past: Int32Array,
  end: number,
  { tokens, n }: { readonly tokens: Int32Array; readonly n: number },
): boolean {
  for (let back = 1; back <= n; back++) if (past[end - back] !== tokens[tokens.length - back]) return false;
  return true;
}
