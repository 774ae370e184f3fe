/** `end` is exclusive. */
export interface ByteRange {
  readonly begin: number;
  readonly end: number;
}

export interface RangeHeaders {
  readonly range?: string | undefined;
  /** The range counts only while the bytes are still these. */
  readonly 'if-range'?: string | string[] | undefined;
}

/**
 * The part of `sizeBytes` that a request asks for (RFC 9110, section 14). `whole`: there is no range, or one that may
 * be ignored: several at once, another unit, bytes that are no longer the same.
 */
export function readRange(
  headers: RangeHeaders,
  sizeBytes: number,
  etag: string,
): ByteRange | 'whole' | 'unsatisfiable' {
  const ifRange = headers['if-range'];
  if (ifRange !== undefined && ifRange !== etag) return 'whole';
  const match = /^bytes=(\d*)-(\d*)$/.exec(headers.range?.trim() ?? '');
  const [, first = '', last = ''] = match ?? [];
  if (first === '' && last === '') return 'whole';
  if (first === '') {
    const begin = Math.max(0, sizeBytes - Number(last));
    return begin < sizeBytes ? { begin, end: sizeBytes } : 'unsatisfiable';
  }
  if (last !== '' && Number(last) < Number(first)) return 'whole';
  if (Number(first) >= sizeBytes) return 'unsatisfiable';
  return { begin: Number(first), end: last === '' ? sizeBytes : Math.min(sizeBytes, Number(last) + 1) };
}
