type Env = Readonly<Record<string, string | undefined>>;

export type Paint = (text: string) => string;

/** How a stream's words are coloured: on a terminal that wants it (https://no-color.org), else not at all. */
export interface Colours {
  readonly head: Paint;
  readonly good: Paint;
  readonly bad: Paint;
  readonly wait: Paint;
}

const plain: Paint = (text) => text;
const ansi =
  (code: number): Paint =>
  (text) =>
    `\u001b[${code}m${text}\u001b[0m`;

export function coloursOf(stream: { readonly isTTY?: boolean }, env: Env): Colours {
  const wanted = env.NO_COLOR ? false : env.FORCE_COLOR ? env.FORCE_COLOR !== '0' : stream.isTTY === true;
  if (!wanted || env.TERM === 'dumb') return { head: plain, good: plain, bad: plain, wait: plain };
  return { head: ansi(1), good: ansi(32), bad: ansi(31), wait: ansi(33) };
}

const GOOD = new Set(['ready', 'active', 'enabled', 'succeeded', 'completed', 'up']);
const BAD = new Set(['rejected', 'failed', 'suspended', 'disabled', 'unreachable', 'down', 'revoked']);
const WAIT = new Set(['uploaded', 'importing', 'validating', 'pending', 'loading', 'draining', 'waiting']);

/** A word of state in its colour, any other text as it is. */
export function paintState(text: string, colours: Colours): string {
  const word = text.trim();
  if (GOOD.has(word)) return colours.good(text);
  if (BAD.has(word)) return colours.bad(text);
  return WAIT.has(word) ? colours.wait(text) : text;
}
