import type {
  BinaryOperator,
  CallArguments,
  ComparisonOperator,
  Expression,
  FilterUse,
  Target,
} from './nodes.js';
import { describe, type TokenStream } from './token-stream.js';

const NO_ARGUMENTS: CallArguments = {
  positional: [],
  named: [],
  spread: undefined,
  spreadNamed: undefined,
};
const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='];
const CONSTANTS: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

interface TupleOptions {
  readonly conditions: boolean;
  /** A name that ends the tuple. */
  readonly endName?: string;
  readonly parentheses?: boolean;
}

/** Expressions, loosest binding first: if, or, and, not, comparison, + -, ~, * / // %, **, sign and postfix, filter. */
export class ExpressionParser {
  constructor(private readonly stream: TokenStream) {}

  expression(conditions = true): Expression {
    return conditions ? this.#condition() : this.#or();
  }

  tuple(options: TupleOptions = { conditions: true }): Expression {
    return this.#tupleOf(() => this.expression(options.conditions), options);
  }

  #tupleOf(parse: () => Expression, options: TupleOptions): Expression {
    const { line } = this.stream.current;
    const items: Expression[] = [];
    let isTuple = false;
    for (;;) {
      if (items.length > 0) this.stream.expectOperator(',');
      if (this.#tupleEnds(options.endName)) break;
      items.push(parse());
      if (!this.stream.isOperator(',')) break;
      isTuple = true;
    }
    if (!isTuple && items[0] !== undefined) return items[0];
    if (!isTuple && options.parentheses !== true) {
      throw this.stream.error(`Expected an expression, got ${describe(this.stream.current)}`);
    }
    return { kind: 'tuple', items, line };
  }

  #tupleEnds(endName: string | undefined): boolean {
    const { stream } = this;
    if (stream.isType('variable_end', 'block_end') || stream.isOperator(')')) return true;
    return endName !== undefined && stream.isName(endName);
  }

  #condition(): Expression {
    let value = this.#or();
    while (this.stream.isName('if')) {
      const { line } = this.stream.next();
      const test = this.#or();
      const otherwise = this.stream.skipName('else') ? this.#condition() : undefined;
      value = { kind: 'condition', test, value, otherwise, line };
    }
    return value;
  }

  #or(): Expression {
    return this.#binaryByName('or', () => this.#and());
  }

  #and(): Expression {
    return this.#binaryByName('and', () => this.#not());
  }

  #binaryByName(operator: 'and' | 'or', operand: () => Expression): Expression {
    let left = operand();
    while (this.stream.isName(operator)) {
      const { line } = this.stream.next();
      left = { kind: 'binary', operator, left, right: operand(), line };
    }
    return left;
  }

  #not(): Expression {
    if (!this.stream.isName('not')) return this.#comparison();
    const { line } = this.stream.next();
    return { kind: 'unary', operator: 'not', of: this.#not(), line };
  }

  #comparison(): Expression {
    const { line } = this.stream.current;
    const first = this.#sum();
    const rest: { operator: ComparisonOperator; operand: Expression }[] = [];
    for (let operator = this.#comparisonOperator(); operator; operator = this.#comparisonOperator()) {
      rest.push({ operator, operand: this.#sum() });
    }
    return rest.length === 0 ? first : { kind: 'comparison', first, rest, line };
  }

  #comparisonOperator(): ComparisonOperator | undefined {
    const { stream } = this;
    if (stream.isOperator(...COMPARISONS)) return stream.next().value as ComparisonOperator;
    if (stream.skipName('in')) return 'in';
    if (!stream.isName('not') || stream.following.type !== 'name' || stream.following.value !== 'in') {
      return undefined;
    }
    stream.next();
    stream.next();
    return 'notin';
  }

  #sum(): Expression {
    return this.#binary(['+', '-'], () => this.#concatenation());
  }

  #concatenation(): Expression {
    const { line } = this.stream.current;
    const parts = [this.#product()];
    while (this.stream.skipOperator('~')) parts.push(this.#product());
    return parts.length === 1 ? (parts[0] as Expression) : { kind: 'concatenation', parts, line };
  }

  #product(): Expression {
    return this.#binary(['*', '/', '//', '%'], () => this.#power());
  }

  #power(): Expression {
    return this.#binary(['**'], () => this.#unary());
  }

  #binary(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    let left = operand();
    while (this.stream.isOperator(...operators)) {
      const { value, line } = this.stream.next();
      left = { kind: 'binary', operator: value as BinaryOperator, left, right: operand(), line };
    }
    return left;
  }

  #unary(withFilters = true): Expression {
    const { stream } = this;
    let node: Expression;
    if (stream.isOperator('-', '+')) {
      const { value, line } = stream.next();
      node = { kind: 'unary', operator: value as '+' | '-', of: this.#unary(false), line };
    } else node = this.primary();
    node = this.postfix(node);
    return withFilters ? this.#filters(node) : node;
  }

  primary(): Expression {
    const { stream } = this;
    const { type, value, line } = stream.current;
    if (type === 'operator') return this.#bracketed();
    if (!stream.isType('name', 'string', 'integer', 'float')) {
      throw stream.error(`unexpected ${describe(stream.current)}`);
    }
    stream.next();
    if (type === 'integer') return { kind: 'constant', value: BigInt(value), line };
    if (type === 'float') return { kind: 'constant', value: Number(value), line };
    if (type === 'string') {
      let text = value;
      while (stream.isType('string')) text += stream.next().value;
      return { kind: 'constant', value: text, line };
    }
    const constant = CONSTANTS.get(value);
    return constant === undefined
      ? { kind: 'name', name: value, line }
      : { kind: 'constant', value: constant, line };
  }

  #bracketed(): Expression {
    const { stream } = this;
    const { line } = stream.current;
    if (stream.skipOperator('(')) {
      const inside = this.tuple({ conditions: true, parentheses: true });
      stream.expectOperator(')');
      return inside;
    }
    if (stream.skipOperator('[')) {
      return { kind: 'list', items: this.#listed(']', () => this.expression()), line };
    }
    if (!stream.skipOperator('{')) throw stream.error(`unexpected ${describe(stream.current)}`);
    const entries = this.#listed('}', () => {
      const key = this.expression();
      stream.expectOperator(':');
      return [key, this.expression()] as const;
    });
    return { kind: 'dict', entries, line };
  }

  #listed<T>(end: string, parse: () => T): T[] {
    const items: T[] = [];
    while (!this.stream.isOperator(end)) {
      if (items.length > 0) this.stream.expectOperator(',');
      if (this.stream.isOperator(end)) break;
      items.push(parse());
    }
    this.stream.expectOperator(end);
    return items;
  }

  postfix(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.stream.isOperator('.')) node = this.#member(node);
      else if (this.stream.isOperator('[')) node = this.#subscript(node);
      else if (this.stream.isOperator('(')) node = this.#call(node);
      else return node;
    }
  }

  #filters(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.stream.isOperator('|')) node = this.filter(node);
      else if (this.stream.isName('is')) node = this.#test(node);
      else if (this.stream.isOperator('(')) node = this.#call(node);
      else return node;
    }
  }

  #member(of: Expression): Expression {
    const { line } = this.stream.next();
    const token = this.stream.next();
    if (token.type === 'name') return { kind: 'attribute', of, name: token.value, line };
    if (token.type !== 'integer') throw this.stream.error('expected name or number');
    return { kind: 'item', of, index: { kind: 'constant', value: BigInt(token.value), line }, line };
  }

  #subscript(of: Expression): Expression {
    const { line } = this.stream.next();
    const parts: Expression[] = [];
    while (!this.stream.isOperator(']')) {
      if (parts.length > 0) this.stream.expectOperator(',');
      parts.push(this.#subscripted());
    }
    this.stream.expectOperator(']');
    const index =
      parts.length === 1 ? (parts[0] as Expression) : { kind: 'tuple' as const, items: parts, line };
    return { kind: 'item', of, index, line };
  }

  #subscripted(): Expression {
    const { stream } = this;
    const { line } = stream.current;
    const start = stream.isOperator(':') ? undefined : this.expression();
    if (start !== undefined && !stream.isOperator(':')) return start;
    stream.next();
    const stop = stream.isOperator(':', ']', ',') ? undefined : this.expression();
    const hasStep = stream.skipOperator(':') && !stream.isOperator(']', ',');
    return { kind: 'slice', start, stop, step: hasStep ? this.expression() : undefined, line };
  }

  #call(callee: Expression): Expression {
    const { line } = this.stream.current;
    return { kind: 'call', callee, args: this.callArguments(), line };
  }

  callArguments(): CallArguments {
    const { stream } = this;
    const positional: Expression[] = [];
    const named: [string, Expression][] = [];
    let spread: Expression | undefined;
    let spreadNamed: Expression | undefined;
    const ensure = (holds: boolean): void => {
      if (!holds) throw stream.error('invalid syntax for function call expression');
    };
    stream.expectOperator('(');
    for (let first = true; !stream.isOperator(')'); first = false) {
      if (!first) stream.expectOperator(',');
      if (stream.isOperator(')')) break;
      if (stream.isOperator('*')) {
        ensure(spread === undefined && spreadNamed === undefined);
        stream.next();
        spread = this.expression();
      } else if (stream.isOperator('**')) {
        ensure(spreadNamed === undefined);
        stream.next();
        spreadNamed = this.expression();
      } else if (
        stream.isType('name') &&
        stream.following.type === 'operator' &&
        stream.following.value === '='
      ) {
        ensure(spreadNamed === undefined);
        const name = stream.next().value;
        stream.next();
        if (named.some(([other]) => other === name)) throw stream.error(`keyword argument repeated: ${name}`);
        named.push([name, this.expression()]);
      } else {
        ensure(spread === undefined && spreadNamed === undefined && named.length === 0);
        positional.push(this.expression());
      }
    }
    stream.expectOperator(')');
    return { positional, named, spread, spreadNamed };
  }

  /** `| name(...)`; the stream stands at the bar. */
  filter(of: Expression | undefined): FilterUse {
    this.stream.expectOperator('|');
    return this.filterName(of);
  }

  filterName(of: Expression | undefined): FilterUse {
    const { line } = this.stream.current;
    const name = this.#dottedName();
    const args = this.stream.isOperator('(') ? this.callArguments() : NO_ARGUMENTS;
    return { kind: 'filter', of, name, args, line };
  }

  #dottedName(): string {
    let name = this.stream.expectName().value;
    while (this.stream.skipOperator('.')) name += `.${this.stream.expectName().value}`;
    return name;
  }

  #test(of: Expression): Expression {
    const { stream } = this;
    const { line } = stream.next();
    const negated = stream.skipName('not');
    const name = this.#dottedName();
    const test: Expression = { kind: 'test', of, name, args: this.#testArguments(), line };
    return negated ? { kind: 'unary', operator: 'not', of: test, line } : test;
  }

  /** In parentheses, or a single operand right after the name. */
  #testArguments(): CallArguments {
    const { stream } = this;
    if (stream.isOperator('(')) return this.callArguments();
    const begins = stream.isType('name', 'string', 'integer', 'float') || stream.isOperator('[', '{');
    if (!begins || stream.isName('else', 'or', 'and')) return NO_ARGUMENTS;
    if (stream.isName('is')) throw stream.error('You cannot chain multiple tests with is');
    return { ...NO_ARGUMENTS, positional: [this.postfix(this.primary())] };
  }

  /** What a value is assigned to. */
  target(options: { readonly members: boolean; readonly endName?: string }): Target {
    const parse = (): Expression => {
      const { value, line, type } = this.stream.current;
      const isMember = this.stream.following.type === 'operator' && this.stream.following.value === '.';
      if (!options.members || type !== 'name' || !isMember || CONSTANTS.has(value)) return this.primary();
      this.stream.next();
      this.stream.next();
      const name = this.stream.expectName().value;
      return { kind: 'attribute', of: { kind: 'name', name: value, line }, name, line };
    };
    const end = options.endName === undefined ? {} : { endName: options.endName };
    return this.#asTarget(this.#tupleOf(parse, { conditions: false, ...end }));
  }

  #asTarget(node: Expression): Target {
    if (node.kind === 'name') return { kind: 'name', name: node.name };
    if (node.kind === 'tuple')
      return { kind: 'tuple', items: node.items.map((item) => this.#asTarget(item)) };
    if (node.kind === 'attribute' && node.of.kind === 'name') {
      return { kind: 'member', namespace: node.of.name, name: node.name };
    }
    throw this.stream.error(`can't assign to ${node.kind}`);
  }

  targetName(): string {
    const { value } = this.stream.expectName();
    if (CONSTANTS.has(value)) throw this.stream.error(`can't assign to ${value}`);
    return value;
  }
}
