import { TemplateFault, typeError, valueError } from './errors.js';
import {
  callValue,
  compileArguments,
  compileExpression,
  compileFilter,
  type Evaluate,
  type Place,
  printed,
} from './expression-compiler.js';
import { Namespace } from './globals.js';
import { LoopContext, LoopItems } from './loop-context.js';
import { Macro, type MacroDefinition } from './macro.js';
import { readsName } from './names-used.js';
import type { Body, Signature, Statement, Target } from './nodes.js';

import { Scope } from './scope.js';
import { asMarkup, type Text, TextBuilder } from './text.js';
import { iterable, truth, type Value } from './values.js';

/** How a statement ended, when not by reaching its end. */
type Leaving = 'break' | 'continue' | undefined;
export type Execute = (scope: Scope, out: TextBuilder) => Leaving;

type NodeOf<Kind extends Statement['kind']> = Extract<Statement, { kind: Kind }>;

const ALWAYS: Place = { mayNotRun: false };

export function compileBody(body: Body, place: Place = ALWAYS): Execute {
  const steps = body.map((statement) => compileStatement(statement, place));
  return (scope, out) => {
    for (const step of steps) {
      const leaving = step(scope, out);
      if (leaving !== undefined) return leaving;
    }
    return undefined;
  };
}

function compileStatement(node: Statement, place: Place): Execute {
  switch (node.kind) {
    case 'output':
      return compileOutput(node, place);
    case 'for':
      return compileFor(node, place);
    case 'if':
      return compileIf(node);
    case 'set': {
      const [assign, value] = [compileTarget(node.target), compileExpression(node.value, place)];
      return (scope) => void assign(scope, value(scope));
    }
    case 'set_block':
      return compileSetBlock(node, place);
    case 'macro': {
      const definition = compileMacro(node.name, node.signature, node.body);
      return (scope) => void scope.set(node.name, new Macro(definition, scope));
    }
    case 'call_block':
      return compileCallBlock(node, place);
    case 'filter_block':
      return compileFilterBlock(node, place);
    case 'with':
      return compileWith(node, place);
    case 'autoescape': {
      const [on, body] = [compileExpression(node.on, place), compileBody(node.body)];
      return (scope, out) => body(new Scope(scope, truth(on(scope))), out);
    }
    case 'block':
    case 'generation': {
      const body = compileBody(node.body);
      return (scope, out) => body(new Scope(scope), out);
    }
    case 'break':
    case 'continue':
      return () => node.kind;
    case 'load':
      return () => {
        throw typeError('no loader for this environment specified');
      };
  }
}

function compileOutput({ parts }: NodeOf<'output'>, place: Place): Execute {
  const pieces = parts.map((part) => (typeof part === 'string' ? part : compileExpression(part, place)));
  return (scope, out) => {
    for (const piece of pieces) out.push(typeof piece === 'string' ? piece : printed(piece(scope), scope));
    return undefined;
  };
}

function compileIf({ branches, otherwise }: NodeOf<'if'>): Execute {
  const place = { mayNotRun: true };
  const cases = branches.map(({ test, body }) => ({
    test: compileExpression(test, place),
    body: compileBody(body, place),
  }));
  const last = compileBody(otherwise, place);
  return (scope, out) => {
    for (const { test, body } of cases) if (truth(test(scope))) return body(scope, out);
    return last(scope, out);
  };
}

type Assign = (scope: Scope, value: Value) => void;

function compileTarget(target: Target): Assign {
  if (target.kind === 'name') return (scope, value) => scope.set(target.name, value);
  if (target.kind === 'member') return compileMember(target.namespace, target.name);
  const parts = target.items.map(compileTarget);
  return (scope, value) => {
    const values = unpack(value, parts.length);
    for (const [i, part] of parts.entries()) part(scope, values[i] as Value);
  };
}

function compileMember(namespace: string, name: string): Assign {
  return (scope, value) => {
    const object = scope.get(namespace);
    if (!(object instanceof Namespace)) {
      throw new TemplateFault('TemplateRuntimeError', 'cannot assign attribute on non-namespace object');
    }
    object.set(name, value);
  };
}

function unpack(value: Value, count: number): Value[] {
  const values = [...iterable(value)];
  if (values.length < count) {
    throw valueError(`not enough values to unpack (expected ${count}, got ${values.length})`);
  }
  if (values.length > count) throw valueError(`too many values to unpack (expected ${count})`);
  return values;
}

function compileFor(node: NodeOf<'for'>, place: Place): Execute {
  const over = compileExpression(node.over, place);
  const test = node.test && compileExpression(node.test, ALWAYS);
  const assign = compileTarget(node.target);
  const body = compileBody(node.body);
  const otherwise = compileBody(node.otherwise);
  const needsLoop = node.recursive || readsName(node.body, 'loop');
  const passes = (scope: Scope, value: Value): boolean => {
    if (test === undefined) return true;
    const inner = new Scope(scope);
    assign(inner, value);
    return truth(test(inner));
  };
  const run = (outer: Scope, values: Value, depth: number, out: TextBuilder): void => {
    const items = new LoopItems(passing(iterable(values), (value) => passes(outer, value)));
    const recurse = (again: Value, nextDepth: number): Value =>
      captured(outer, (to) => run(outer, again, nextDepth, to));
    const loop = needsLoop ? new LoopContext(items, depth, node.recursive ? recurse : undefined) : undefined;
    let wasFinished = false;
    for (let item = items.at(0), i = 1; item !== undefined; item = items.at(i++)) {
      const scope = new Scope(outer);
      loop?.advance();
      if (loop !== undefined) scope.set('loop', loop);
      assign(scope, item);
      const leaving = body(scope, out);
      if (leaving === 'break') break;
      wasFinished ||= leaving === undefined;
    }
    // As in Jinja2: also where each iteration was left before its end.
    if (!wasFinished) otherwise(new Scope(outer), out);
  };
  return (scope, out) => {
    run(scope, over(scope), 0, out);
    return undefined;
  };
}

/** Tested one by one, when the loop comes to them. */
function* passing(items: Iterable<Value>, passes: (value: Value) => boolean): Generator<Value> {
  for (const item of items) if (passes(item)) yield item;
}

/** What is written into a buffer of its own: a str, or Markup where output is escaped. */
function captured(scope: Scope, write: (out: TextBuilder) => void): Text {
  const out = new TextBuilder();
  write(out);
  const text = out.finish();
  return scope.autoescape ? asMarkup(text) : text;
}

function compileSetBlock(node: NodeOf<'set_block'>, place: Place): Execute {
  const assign = compileTarget(node.target);
  return compileBuffered(node.body, node.filter, place, (value, scope) => assign(scope, value));
}

function compileFilterBlock(node: NodeOf<'filter_block'>, place: Place): Execute {
  return compileBuffered(node.body, node.filter, place, (value, scope, out) =>
    out.push(printed(value, scope)),
  );
}

/** A body whose text goes through a filter before it is used. Leaving it in the middle gives nothing. */
function compileBuffered(
  source: Body,
  filter: NodeOf<'set_block'>['filter'],
  place: Place,
  use: (value: Value, scope: Scope, out: TextBuilder) => void,
): Execute {
  const body = compileBody(source);
  let text: Text = '';
  const filtered = filter && compileFilter(filter, place, () => text);
  return (scope, out) => {
    let leaving: Leaving;
    const whole = captured(scope, (to) => {
      leaving = body(new Scope(scope), to);
    });
    if (leaving !== undefined) return leaving;
    text = whole;
    use(filtered ? filtered(scope) : whole, scope, out);
    return undefined;
  };
}

function compileWith({ bindings, body: source }: NodeOf<'with'>, place: Place): Execute {
  const pairs = bindings.map(
    ([target, value]) => [compileTarget(target), compileExpression(value, place)] as const,
  );
  const body = compileBody(source);
  return (scope, out) => {
    const inner = new Scope(scope);
    for (const [assign, value] of pairs) assign(inner, value(scope));
    return body(inner, out);
  };
}

function compileMacro(name: string, signature: Signature, source: Body): MacroDefinition {
  const body = compileBody(source);
  return {
    name,
    parameters: signature.names,
    defaults: signature.defaults.map((expression) => compileExpression(expression, ALWAYS)),
    uses: {
      varargs: readsName(source, 'varargs') && !signature.names.includes('varargs'),
      kwargs: readsName(source, 'kwargs') && !signature.names.includes('kwargs'),
      caller: readsName(source, 'caller'),
    },
    run: (scope) => captured(scope, (out) => void body(scope, out)),
  };
}

function compileCallBlock(node: NodeOf<'call_block'>, place: Place): Execute {
  const definition = compileMacro('caller', node.signature, node.body);
  const callee: Evaluate = compileExpression(node.call.callee, place);
  const given = compileArguments(node.call.args, place);
  return (scope, out) => {
    const target = callee(scope);
    const { positional, named } = given(scope);
    named.set('caller', new Macro(definition, scope));
    out.push(printed(callValue(target, positional, named), scope));
    return undefined;
  };
}
