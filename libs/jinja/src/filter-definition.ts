import type { Arguments } from './arguments.js';
import type { NamedArguments, Value } from './values.js';

export type Test = (value: Value, args: readonly Value[], named: NamedArguments) => boolean;

/** Where a filter is used. */
export interface FilterContext {
  /** HTML is escaped in what is printed. */
  readonly autoescape: boolean;
  /** `map` and `select` apply filters and tests by name. */
  readonly findFilter: (name: string) => Filter | undefined;
  readonly findTest: (name: string) => Test | undefined;
}

export type Filter = (
  value: Value,
  args: readonly Value[],
  named: NamedArguments,
  context: FilterContext,
) => Value;

/** A filter by the names of its arguments. */
export interface FilterDefinition {
  readonly names: readonly string[];
  readonly run: (value: Value, args: Arguments, context: FilterContext) => Value;
}

export type FilterDefinitions = Readonly<Record<string, FilterDefinition>>;
