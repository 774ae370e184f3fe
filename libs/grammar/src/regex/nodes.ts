import type { CodePoints } from '../automaton/code-points.js';

export type RegexNode =
  | { readonly kind: 'set'; readonly set: CodePoints }
  | { readonly kind: 'sequence'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'choice'; readonly items: readonly RegexNode[] }
  | {
      readonly kind: 'repeat';
      readonly item: RegexNode;
      readonly min: number;
      /** Absent: any number. */
      readonly max?: number;
    }
  /** `^` and `$`. */
  | { readonly kind: 'start' | 'end' };
