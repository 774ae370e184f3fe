export interface WrapOptions {
  readonly width: number;
  readonly breakLongWords: boolean;
  readonly breakOnHyphens: boolean;
}

const ON_HYPHENS =
  /[\t-\r ]+|(?<=[\w!"'&.,?])-{2,}(?=\w)|[^\t-\r ](?:-(?=[^\d\W]-?)|[^\t-\r ](?!-(?:[^\d\W]))(?<!-(?=[^\d\W])))*?[^\t-\r -]*-*?(?:(?<=[^\d\W]-)(?=[^\d\W])|(?=[\t-\r ]|$)|(?=(?<=[\w!"'&.,?])-{2,}\w))/g;

/** Python's textwrap.wrap of one line, tabs and whitespace kept. */
export function wrapText(text: string, options: WrapOptions): string[] {
  const chunks = chunksOf(text, options.breakOnHyphens).toReversed();
  const lines: string[] = [];
  while (chunks.length > 0) {
    if (lines.length > 0 && (chunks.at(-1) as string).trim() === '') chunks.pop();
    const line = takeLine(chunks, options);
    if (line.at(-1)?.trim() === '') line.pop();
    if (line.length > 0) lines.push(line.join(''));
  }
  return lines;
}

function chunksOf(text: string, breakOnHyphens: boolean): string[] {
  const pattern = breakOnHyphens ? ON_HYPHENS : /[\t-\r ]+|[^\t-\r ]+/g;
  return text.match(pattern) ?? [];
}

/** Takes from the end of `chunks` what fits. */
function takeLine(chunks: string[], { width, breakLongWords }: WrapOptions): string[] {
  const line: string[] = [];
  let used = 0;
  for (let next = chunks.at(-1); next !== undefined && used + next.length <= width; next = chunks.at(-1)) {
    line.push(next);
    used += next.length;
    chunks.pop();
  }
  const long = chunks.at(-1);
  if (long === undefined || long.length <= width) return line;
  if (breakLongWords) {
    const room = Math.max(1, width - used);
    line.push(long.slice(0, room));
    chunks[chunks.length - 1] = long.slice(room);
  } else if (line.length === 0) {
    line.push(long);
    chunks.pop();
  }
  return line;
}
