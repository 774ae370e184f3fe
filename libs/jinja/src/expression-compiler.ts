import { type ArithmeticOperator, calculate, negate, positive } from './arithmetic.js';
import { getAttribute, getItem, notCallable, Slice } from './attributes.js';
import { compare } from './comparison.js';
import { TemplateFault, TemplateSyntaxError, typeError } from './errors.js';
import type { Filter } from './filter-definition.js';
import { findFilter } from './filters.js';
import { escapeHtml } from './html.js';
import { isConstant } from './names-used.js';
import type { CallArguments, Expression, FilterUse } from './nodes.js';
import { str } from './representation.js';
import type { Scope } from './scope.js';
import { asMarkup, concatenate, isMarkup, isText, plain, type Text } from './text.js';
import { findTest } from './tests.js';
import {
  Callable,
  Dict,
  iterable,
  type NamedArguments,
  truth,
  Tuple,
  typeName,
  Undefined,
  type Value,
} from './values.js';

export type Evaluate = (scope: Scope) => Value;

/**
 * In a branch that may never run (`if`, inline `if`) an unknown filter or test fails when it runs; elsewhere the template
 * does not compile.
 */
export interface Place {
  readonly mayNotRun: boolean;
}

export function compileExpression(node: Expression, place: Place): Evaluate {
  const inside = (child: Expression): Evaluate => compileExpression(child, place);
  switch (node.kind) {
    case 'constant': {
      const { value } = node;
      return () => value;
    }
    case 'name': {
      const { name } = node;
      return (scope) => scope.get(name);
    }
    case 'list': {
      const items = node.items.map(inside);
      return (scope) => items.map((item) => item(scope));
    }
    case 'tuple': {
      const items = node.items.map(inside);
      return (scope) => new Tuple(items.map((item) => item(scope)));
    }
    case 'dict': {
      const entries = node.entries.map(([key, value]) => [inside(key), inside(value)] as const);
      return (scope) => Dict.of(entries.map(([key, value]) => [key(scope), value(scope)] as const));
    }
    case 'attribute': {
      const of = inside(node.of);
      const { name } = node;
      return (scope) => getAttribute(of(scope), name);
    }
    case 'item': {
      const [of, index] = [inside(node.of), inside(node.index)];
      const find: Evaluate = (scope) => getItem(of(scope), index(scope));
      return node.index.kind === 'slice' && isConstant(node) ? undefinedWhereRefused(find) : find;
    }
    case 'slice':
      return compileSlice(node, inside);
    case 'call':
      return compileCall(node.callee, node.args, place);
    case 'filter':
      return compileFilter(node, place, undefined);
    case 'test':
      return compileTest(node, place);
    case 'binary':
      return compileBinary(node, inside);
    case 'unary':
      return compileUnary(node, inside);
    case 'concatenation': {
      const parts = node.parts.map(inside);
      return (scope) =>
        joined(
          parts.map((part) => part(scope)),
          scope,
        );
    }
    case 'comparison':
      return compileComparison(node, inside);
    case 'condition':
      return compileCondition(node);
  }
}

type NodeOf<Kind extends Expression['kind']> = Extract<Expression, { kind: Kind }>;
type Inside = (node: Expression) => Evaluate;

/** What is printed: a str, escaped where the template asked for that. */
export function printed(value: Value, scope: Scope): Text {
  const text = str(value);
  return scope.autoescape && !isMarkup(text) ? escapeHtml(text) : text;
}

/** With escaping, one Markup makes all of them HTML. */
function joined(values: readonly Value[], scope: Scope): Text {
  const texts = values.map(str);
  if (!scope.autoescape || !texts.some(isMarkup)) return concatenate(texts);
  return asMarkup(concatenate(texts.map((text) => (isMarkup(text) ? text : escapeHtml(text)))));
}

/** What Jinja2 slices while it compiles gives nothing where Python raises. */
function undefinedWhereRefused(find: Evaluate): Evaluate {
  return (scope) => {
    try {
      return find(scope);
    } catch (error) {
      if (error instanceof TemplateFault && error.kind === 'TypeError') return new Undefined(error.message);
      throw error;
    }
  };
}

function compileSlice(node: NodeOf<'slice'>, inside: Inside): Evaluate {
  const nothing: Evaluate = () => null;
  const [start, stop, step] = [node.start, node.stop, node.step].map((part) =>
    part ? inside(part) : nothing,
  );
  return (scope) => new Slice((start ?? nothing)(scope), (stop ?? nothing)(scope), (step ?? nothing)(scope));
}

function compileBinary({ operator, left, right }: NodeOf<'binary'>, inside: Inside): Evaluate {
  const [a, b] = [inside(left), inside(right)];
  if (operator === 'and') {
    return (scope) => {
      const value = a(scope);
      return truth(value) ? b(scope) : value;
    };
  }
  if (operator === 'or') {
    return (scope) => {
      const value = a(scope);
      return truth(value) ? value : b(scope);
    };
  }
  const arithmetic: ArithmeticOperator = operator;
  return (scope) => calculate(a(scope), arithmetic, b(scope));
}

function compileUnary({ operator, of }: NodeOf<'unary'>, inside: Inside): Evaluate {
  const operand = inside(of);
  if (operator === 'not') return (scope) => !truth(operand(scope));
  return operator === '-' ? (scope) => negate(operand(scope)) : (scope) => positive(operand(scope));
}

function compileComparison({ first, rest }: NodeOf<'comparison'>, inside: Inside): Evaluate {
  const begin = inside(first);
  const steps = rest.map(({ operator, operand }) => ({ operator, operand: inside(operand) }));
  return (scope) => {
    let left = begin(scope);
    for (const { operator, operand } of steps) {
      const right = operand(scope);
      if (!compare(left, operator, right)) return false;
      left = right;
    }
    return true;
  };
}

function compileCondition({ test, value, otherwise, line }: NodeOf<'condition'>): Evaluate {
  const place = { mayNotRun: true };
  const [condition, yes] = [compileExpression(test, place), compileExpression(value, place)];
  const no = otherwise && compileExpression(otherwise, place);
  const message = `the inline if-expression on line ${line} evaluated to false and no else section was defined.`;
  return (scope) => {
    if (truth(condition(scope))) return yes(scope);
    return no ? no(scope) : new Undefined(message);
  };
}

function compileCall(callee: Expression, args: CallArguments, place: Place): Evaluate {
  const of = compileExpression(callee, place);
  const given = compileArguments(args, place);
  return (scope) => {
    const target = of(scope);
    const { positional, named } = given(scope);
    return callValue(target, positional, named);
  };
}

export function callValue(target: Value, args: readonly Value[], named: NamedArguments): Value {
  if (target instanceof Callable) return target.call(args, named);
  if (target instanceof Undefined) throw target.fault();
  throw notCallable(target);
}

interface GivenArguments {
  readonly positional: Value[];
  readonly named: Map<string, Value>;
}

export function compileArguments(args: CallArguments, place: Place): (scope: Scope) => GivenArguments {
  const positional = args.positional.map((argument) => compileExpression(argument, place));
  const named = args.named.map(([name, value]) => [name, compileExpression(value, place)] as const);
  const spread = args.spread && compileExpression(args.spread, place);
  const spreadNamed = args.spreadNamed && compileExpression(args.spreadNamed, place);
  return (scope) => {
    const given = {
      positional: positional.map((argument) => argument(scope)),
      named: new Map(named.map(([name, value]) => [name, value(scope)])),
    };
    if (spread) given.positional.push(...iterable(spread(scope)));
    if (spreadNamed) addNamed(given.named, spreadNamed(scope));
    return given;
  };
}

function addNamed(named: Map<string, Value>, values: Value): void {
  if (!(values instanceof Dict))
    throw typeError(`argument after ** must be a mapping, not ${typeName(values)}`);
  for (const [key, value] of values.entries()) {
    if (!isText(key)) throw typeError('keywords must be strings');
    if (named.has(plain(key))) throw typeError(`got multiple values for keyword argument '${plain(key)}'`);
    named.set(plain(key), value);
  }
}

/** `block`: what a filter block gives in place of the innermost value. */
export function compileFilter(node: FilterUse, place: Place, block: Evaluate | undefined): Evaluate {
  const of = compileFiltered(node, place, block);
  const given = compileArguments(node.args, place);
  const filter = findFilter(node.name) ?? unknown('filter', node, place);
  return (scope) => {
    const value = of(scope);
    const { positional, named } = given(scope);
    return filter(value, positional, named, { autoescape: scope.autoescape, findFilter, findTest });
  };
}

function compileFiltered({ of }: FilterUse, place: Place, block: Evaluate | undefined): Evaluate {
  if (of === undefined) return block ?? (() => null);
  return of.kind === 'filter' ? compileFilter(of, place, block) : compileExpression(of, place);
}

function unknown(
  what: 'filter' | 'test',
  { name, line }: { name: string; line: number },
  place: Place,
): Filter {
  const message = `No ${what} named '${name}'.`;
  if (!place.mayNotRun) throw new TemplateSyntaxError(message, line);
  return () => {
    throw new TemplateFault('TemplateRuntimeError', message);
  };
}

function compileTest(node: NodeOf<'test'>, place: Place): Evaluate {
  const of = compileExpression(node.of, place);
  const given = compileArguments(node.args, place);
  const test = findTest(node.name);
  if (test === undefined) {
    const fail = unknown('test', node, place);
    return ({ autoescape }) => fail(null, [], new Map(), { autoescape, findFilter, findTest });
  }
  return (scope) => {
    const value = of(scope);
    const { positional, named } = given(scope);
    return test(value, positional, named);
  };
}
