import type { AdapterVersion } from './adapter-residency.js';

/** With which adapter a prompt is computed, and from which of its tokens on. */
export interface Activation {
  /** Undefined: the base model answers alone. */
  readonly adapter: AdapterVersion | undefined;
  readonly activeFrom?: number | undefined;
  /** Whether an activated LoRA was asked for. */
  readonly isActivated?: boolean;
}

/**
 * An activated LoRA (aLoRA) acts from where its invocation tokens stand in the prompt for the last time, and on all that is
 * generated; in a prompt without them not at all. That is PEFT's rule, which looks at the prompt once, before it generates.
 */
export function activationOf(adapter: AdapterVersion | undefined, prompt: Int32Array): Activation {
  const invocation = adapter?.manifest.invocationTokens;
  if (invocation === undefined) return { adapter };
  const activeFrom = lastInvocation(prompt, invocation);
  return { adapter: activeFrom === undefined ? undefined : adapter, activeFrom, isActivated: true };
}

/** The last place in `tokens` where the `invocation` begins; undefined: there is none. */
export function lastInvocation(tokens: ArrayLike<number>, invocation: readonly number[]): number | undefined {
  for (let start = tokens.length - invocation.length; start >= 0; start--) {
    if (invocation.every((token, i) => tokens[start + i] === token)) return start;
  }
  return undefined;
}
