/** The right side of a grammar's rule. */
export type Expression =
  | { readonly kind: 'text'; readonly text: string }
  /** One byte: first and last of each range in turn. */
  | { readonly kind: 'bytes'; readonly ranges: readonly number[] }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'sequence'; readonly items: readonly Expression[] }
  /** Of nothing: no text at all. */
  | { readonly kind: 'choice'; readonly items: readonly Expression[] }
  | {
      readonly kind: 'repeat';
      readonly item: Expression;
      readonly min: number;
      /** Absent: any number. */
      readonly max?: number;
    };

export const NOTHING: Expression = { kind: 'text', text: '' };
export const NEVER: Expression = { kind: 'choice', items: [] };

export const text = (value: string): Expression => ({ kind: 'text', text: value });
export const rule = (name: string): Expression => ({ kind: 'rule', name });
export const bytes = (ranges: readonly number[]): Expression =>
  ranges.length === 0 ? NEVER : { kind: 'bytes', ranges };

export const isNever = (expression: Expression): boolean =>
  expression.kind === 'choice' && expression.items.length === 0;
const isNothing = (expression: Expression): boolean => expression.kind === 'text' && expression.text === '';

export function sequence(...items: readonly Expression[]): Expression {
  if (items.some(isNever)) return NEVER;
  const kept = items
    .flatMap((item) => (item.kind === 'sequence' ? item.items : [item]))
    .filter((item) => !isNothing(item));
  if (kept.length === 0) return NOTHING;
  return kept.length === 1 ? (kept[0] as Expression) : { kind: 'sequence', items: kept };
}

export function choice(...items: readonly Expression[]): Expression {
  const kept = items.flatMap((item) => (item.kind === 'choice' ? item.items : [item]));
  return kept.length === 1 ? (kept[0] as Expression) : { kind: 'choice', items: kept };
}

export function repeat(item: Expression, min: number, max?: number): Expression {
  if (max === 0 || isNothing(item) || (isNever(item) && min === 0)) return NOTHING;
  if (isNever(item)) return NEVER;
  if (min === 1 && max === 1) return item;
  return max === undefined ? { kind: 'repeat', item, min } : { kind: 'repeat', item, min, max };
}

export const optional = (item: Expression): Expression => repeat(item, 0, 1);
