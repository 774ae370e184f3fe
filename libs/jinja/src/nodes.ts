/*
 * A template as a tree.
 */
export type Expression = { readonly line: number } & (
  | { readonly kind: 'constant'; readonly value: null | boolean | bigint | number | string }
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'list' | 'tuple'; readonly items: readonly Expression[] }
  | { readonly kind: 'dict'; readonly entries: readonly (readonly [Expression, Expression])[] }
  | { readonly kind: 'attribute'; readonly of: Expression; readonly name: string }
  | { readonly kind: 'item'; readonly of: Expression; readonly index: Expression }
  | {
      readonly kind: 'slice';
      readonly start: Expression | undefined;
      readonly stop: Expression | undefined;
      readonly step: Expression | undefined;
    }
  | Call
  | FilterUse
  | {
      readonly kind: 'test';
      readonly of: Expression;
      readonly name: string;
      readonly args: CallArguments;
    }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly kind: 'unary'; readonly operator: '+' | '-' | 'not'; readonly of: Expression }
  | { readonly kind: 'concatenation'; readonly parts: readonly Expression[] }
  | {
      readonly kind: 'comparison';
      readonly first: Expression;
      readonly rest: readonly { readonly operator: ComparisonOperator; readonly operand: Expression }[];
    }
  | {
      readonly kind: 'condition';
      readonly test: Expression;
      readonly value: Expression;
      readonly otherwise: Expression | undefined;
    }
);

export type BinaryOperator = '+' | '-' | '*' | '/' | '//' | '%' | '**' | 'and' | 'or';
export type ComparisonOperator = '==' | '!=' | '<' | '<=' | '>' | '>=' | 'in' | 'notin';

export interface CallArguments {
  readonly positional: readonly Expression[];
  readonly named: readonly (readonly [string, Expression])[];
  /** `*values`, `**values`. */
  readonly spread: Expression | undefined;
  readonly spreadNamed: Expression | undefined;
}

export interface Call {
  readonly kind: 'call';
  readonly line: number;
  readonly callee: Expression;
  readonly args: CallArguments;
}

export interface FilterUse {
  readonly kind: 'filter';
  readonly line: number;
  /** Absent in a filter block: what the block gives. */
  readonly of: Expression | undefined;
  readonly name: string;
  readonly args: CallArguments;
}

export type Target =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'member'; readonly namespace: string; readonly name: string }
  | { readonly kind: 'tuple'; readonly items: readonly Target[] };

export interface Signature {
  readonly names: readonly string[];
  /** Of the last names. */
  readonly defaults: readonly Expression[];
}

export type Statement = { readonly line: number } & (
  | { readonly kind: 'output'; readonly parts: readonly (string | Expression)[] }
  | {
      readonly kind: 'for';
      readonly target: Target;
      readonly over: Expression;
      readonly test: Expression | undefined;
      readonly recursive: boolean;
      readonly body: Body;
      readonly otherwise: Body;
    }
  | {
      readonly kind: 'if';
      readonly branches: readonly { readonly test: Expression; readonly body: Body }[];
      readonly otherwise: Body;
    }
  | { readonly kind: 'set'; readonly target: Target; readonly value: Expression }
  | {
      readonly kind: 'set_block';
      readonly target: Target;
      readonly filter: FilterUse | undefined;
      readonly body: Body;
    }
  | { readonly kind: 'macro'; readonly name: string; readonly signature: Signature; readonly body: Body }
  | { readonly kind: 'call_block'; readonly call: Call; readonly signature: Signature; readonly body: Body }
  | { readonly kind: 'filter_block'; readonly filter: FilterUse; readonly body: Body }
  | {
      readonly kind: 'with';
      readonly bindings: readonly (readonly [Target, Expression])[];
      readonly body: Body;
    }
  | { readonly kind: 'autoescape'; readonly on: Expression; readonly body: Body }
  | { readonly kind: 'block'; readonly name: string; readonly body: Body }
  | { readonly kind: 'generation'; readonly body: Body }
  | { readonly kind: 'break' | 'continue' }
  /** extends, include, import: there is nothing to load from. */
  | { readonly kind: 'load' }
);

export type Body = readonly Statement[];
