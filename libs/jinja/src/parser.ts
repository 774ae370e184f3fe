import { TemplateSyntaxError } from './errors.js';
import { ExpressionParser } from './expression-parser.js';
import { tokenize } from './lexer.js';
import type { Body, Expression, Signature, Statement, Target } from './nodes.js';
import { describe, TokenStream } from './token-stream.js';

/** Reads a template; throws TemplateSyntaxError. */
export function parseTemplate(source: string): Body {
  return new Parser(new TokenStream(tokenize(source))).template();
}

class Parser {
  readonly #expressions: ExpressionParser;
  /** Functions of Python that the statement stands in: `break` reaches only the loops of the innermost. */
  #loops = 0;
  readonly #blocks = new Set<string>();

  constructor(private readonly stream: TokenStream) {
    this.#expressions = new ExpressionParser(stream);
  }

  template(): Body {
    const body = this.#body([]);
    if (this.stream.current.type !== 'eof') throw this.stream.unexpected('the end of the template');
    return body;
  }

  /** Statements up to one of `ends`, at which the stream then stands. */
  #body(ends: readonly string[]): Body {
    const statements: Statement[] = [];
    let parts: (string | Expression)[] = [];
    let { line } = this.stream.current;
    const flush = (): void => {
      if (parts.length > 0) statements.push({ kind: 'output', parts, line });
      parts = [];
      line = this.stream.current.line;
    };
    for (;;) {
      const token = this.stream.current;
      if (token.type === 'data') parts.push(this.stream.next().value);
      else if (token.type === 'variable_begin') {
        this.stream.next();
        parts.push(this.#expressions.tuple());
        this.stream.expectType('variable_end');
      } else if (token.type === 'block_begin') {
        flush();
        this.stream.next();
        if (this.stream.isName(...ends)) return statements;
        statements.push(this.#statement());
        this.stream.expectType('block_end');
      } else break;
    }
    flush();
    if (ends.length > 0) {
      throw this.stream.error(
        `Unexpected end of template. Jinja was looking for the following tags: ${ends.join(', ')}.`,
      );
    }
    return statements;
  }

  /** A tag's body up to its end tag; the stream then stands behind that tag's name. */
  #block(...ends: readonly string[]): Body {
    this.stream.skipOperator(':');
    this.stream.expectType('block_end');
    return this.#body(ends);
  }

  #closed(end: string): Body {
    const body = this.#block(end);
    this.stream.next();
    return body;
  }

  /** A body that becomes a function in Python: no `break` leads out of it. */
  #function(end: string): Body {
    const loops = this.#loops;
    this.#loops = 0;
    const body = this.#closed(end);
    this.#loops = loops;
    return body;
  }

  #statement(): Statement {
    const token = this.stream.current;
    const { line } = token;
    if (token.type !== 'name') throw this.stream.error('tag name expected');
    const parse = this.#statements[token.value];
    if (parse === undefined) throw new TemplateSyntaxError(`Encountered unknown tag '${token.value}'.`, line);
    this.stream.next();
    return parse(line);
  }

  readonly #statements: Readonly<Record<string, ((line: number) => Statement) | undefined>> = {
    __proto__: null as never,
    for: (line) => this.#for(line),
    if: (line) => this.#if(line),
    set: (line) => this.#set(line),
    macro: (line) => {
      const name = this.#expressions.targetName();
      return { kind: 'macro', name, signature: this.#signature(), body: this.#function('endmacro'), line };
    },
    call: (line) => this.#call(line),
    filter: (line) => {
      const filter = this.#filterChain();
      return { kind: 'filter_block', filter, body: this.#closed('endfilter'), line };
    },
    with: (line) => this.#with(line),
    autoescape: (line) => {
      const on = this.#expressions.expression();
      return { kind: 'autoescape', on, body: this.#closed('endautoescape'), line };
    },
    print: (line) => this.#print(line),
    block: (line) => this.#namedBlock(line),
    generation: (line) => ({ kind: 'generation', body: this.#function('endgeneration'), line }),
    break: (line) => this.#loopControl('break', line),
    continue: (line) => this.#loopControl('continue', line),
    extends: (line) => this.#load(line),
    include: (line) => this.#load(line),
    import: (line) => this.#load(line),
    from: (line) => this.#load(line),
  };

  #for(line: number): Statement {
    const target = this.#expressions.target({ members: false, endName: 'in' });
    if (bindsName(target, 'loop'))
      throw this.stream.error("Can't assign to special loop variable in for-loop target");
    this.stream.expectName('in');
    const over = this.#expressions.tuple({ conditions: false, endName: 'recursive' });
    const test = this.stream.skipName('if') ? this.#expressions.expression() : undefined;
    const recursive = this.stream.skipName('recursive');
    this.#loops++;
    const body = this.#block('endfor', 'else');
    this.#loops--;
    const hasElse = this.stream.next().value === 'else';
    const otherwise = hasElse ? this.#closed('endfor') : [];
    return { kind: 'for', target, over, test, recursive, body, otherwise, line };
  }

  #if(line: number): Statement {
    const branches: { test: Expression; body: Body }[] = [];
    for (;;) {
      const test = this.#expressions.tuple({ conditions: false });
      branches.push({ test, body: this.#block('elif', 'else', 'endif') });
      const { value } = this.stream.next();
      if (value === 'elif') continue;
      return { kind: 'if', branches, otherwise: value === 'else' ? this.#closed('endif') : [], line };
    }
  }

  #set(line: number): Statement {
    const target = this.#expressions.target({ members: true });
    if (this.stream.skipOperator('=')) return { kind: 'set', target, value: this.#expressions.tuple(), line };
    const filter = this.stream.isOperator('|')
      ? this.#moreFilters(this.#expressions.filter(undefined))
      : undefined;
    return { kind: 'set_block', target, filter, body: this.#closed('endset'), line };
  }

  #filterChain() {
    return this.#moreFilters(this.#expressions.filterName(undefined));
  }

  #moreFilters(first: ReturnType<ExpressionParser['filter']>) {
    let filter = first;
    while (this.stream.isOperator('|')) filter = this.#expressions.filter(filter);
    return filter;
  }

  #signature(): Signature {
    const names: string[] = [];
    const defaults: Expression[] = [];
    this.stream.expectOperator('(');
    while (!this.stream.isOperator(')')) {
      if (names.length > 0) this.stream.expectOperator(',');
      const name = this.#expressions.targetName();
      if (names.includes(name)) throw this.stream.error(`duplicate argument '${name}'`);
      names.push(name);
      if (this.stream.skipOperator('=')) defaults.push(this.#expressions.expression());
      else if (defaults.length > 0) throw this.stream.error('non-default argument follows default argument');
    }
    this.stream.expectOperator(')');
    return { names, defaults };
  }

  #call(line: number): Statement {
    const signature = this.stream.isOperator('(') ? this.#signature() : { names: [], defaults: [] };
    const call = this.#expressions.expression();
    if (call.kind !== 'call') throw this.stream.error('expected call');
    return { kind: 'call_block', call, signature, body: this.#function('endcall'), line };
  }

  #with(line: number): Statement {
    const bindings: [Target, Expression][] = [];
    while (this.stream.current.type !== 'block_end') {
      if (bindings.length > 0) this.stream.expectOperator(',');
      const target = this.#expressions.target({ members: false });
      this.stream.expectOperator('=');
      bindings.push([target, this.#expressions.expression()]);
    }
    return { kind: 'with', bindings, body: this.#closed('endwith'), line };
  }

  #print(line: number): Statement {
    const parts: Expression[] = [];
    while (this.stream.current.type !== 'block_end') {
      if (parts.length > 0) this.stream.expectOperator(',');
      parts.push(this.#expressions.expression());
    }
    return { kind: 'output', parts, line };
  }

  #namedBlock(line: number): Statement {
    const name = this.stream.expectName().value;
    if (this.#blocks.has(name)) throw this.stream.error(`block '${name}' defined twice`);
    this.#blocks.add(name);
    this.stream.skipName('scoped');
    const isRequired = this.stream.skipName('required');
    const body = this.#function('endblock');
    if (isRequired) throw this.stream.error(`Required block '${name}' not found`);
    this.stream.skipName(name);
    return { kind: 'block', name, body, line };
  }

  #loopControl(kind: 'break' | 'continue', line: number): Statement {
    if (this.#loops === 0) throw new TemplateSyntaxError(`'${kind}' outside loop`, line);
    return { kind, line };
  }

  /** Parsed only as far as it must be to find the tag's end: nothing can be loaded. */
  #load(line: number): Statement {
    if (this.stream.current.type === 'block_end') {
      throw this.stream.error(`Expected an expression, got ${describe(this.stream.current)}`);
    }
    while (!this.stream.isType('block_end', 'eof')) this.stream.next();
    return { kind: 'load', line };
  }
}

function bindsName(target: Target, name: string): boolean {
  if (target.kind === 'tuple') return target.items.some((item) => bindsName(item, name));
  return target.kind === 'name' && target.name === name;
}
