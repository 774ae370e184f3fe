import type { Body, CallArguments, Expression, Statement } from './nodes.js';

/** Whether any expression in the body reads the name, inner macros and loops included. */
export function readsName(body: Body, name: string): boolean {
  return body.some((statement) => inStatement(statement, name));
}

function inStatement(node: Statement, name: string): boolean {
  const inside = (expression: Expression | undefined): boolean => expressionReads(expression, name);
  switch (node.kind) {
    case 'output':
      return node.parts.some((part) => typeof part !== 'string' && inside(part));
    case 'for':
      return (
        inside(node.over) ||
        inside(node.test) ||
        readsName(node.body, name) ||
        readsName(node.otherwise, name)
      );
    case 'if':
      return (
        node.branches.some(({ test, body }) => inside(test) || readsName(body, name)) ||
        readsName(node.otherwise, name)
      );
    case 'set':
      return inside(node.value);
    case 'set_block':
      return inside(node.filter) || readsName(node.body, name);
    case 'macro':
      return node.signature.defaults.some(inside) || readsName(node.body, name);
    case 'call_block':
      return inside(node.call) || node.signature.defaults.some(inside) || readsName(node.body, name);
    case 'filter_block':
      return inside(node.filter) || readsName(node.body, name);
    case 'with':
      return node.bindings.some(([, value]) => inside(value)) || readsName(node.body, name);
    case 'autoescape':
      return inside(node.on) || readsName(node.body, name);
    case 'block':
    case 'generation':
      return readsName(node.body, name);
    case 'break':
    case 'continue':
    case 'load':
      return false;
  }
}

function argumentsRead(
  { positional, named, spread, spreadNamed }: CallArguments,
  name: string | undefined,
): boolean {
  const all = [...positional, ...named.map(([, value]) => value), spread, spreadNamed];
  return all.some((argument) => expressionReads(argument, name));
}

/** Whether its value depends on no name, so that Jinja2 computes it while it compiles. */
export function isConstant(node: Expression): boolean {
  return !expressionReads(node, undefined);
}

/** `name`: undefined for any. */
function expressionReads(node: Expression | undefined, name: string | undefined): boolean {
  if (node === undefined) return false;
  const inside = (child: Expression | undefined): boolean => expressionReads(child, name);
  switch (node.kind) {
    case 'constant':
      return false;
    case 'name':
      return name === undefined || node.name === name;
    case 'list':
    case 'tuple':
      return node.items.some(inside);
    case 'dict':
      return node.entries.some(([key, value]) => inside(key) || inside(value));
    case 'attribute':
    case 'unary':
      return inside(node.of);
    case 'item':
      return inside(node.of) || inside(node.index);
    case 'slice':
      return inside(node.start) || inside(node.stop) || inside(node.step);
    case 'call':
      return inside(node.callee) || argumentsRead(node.args, name);
    case 'filter':
    case 'test':
      return inside(node.of) || argumentsRead(node.args, name);
    case 'binary':
      return inside(node.left) || inside(node.right);
    case 'concatenation':
      return node.parts.some(inside);
    case 'comparison':
      return inside(node.first) || node.rest.some(({ operand }) => inside(operand));
    case 'condition':
      return inside(node.test) || inside(node.value) || inside(node.otherwise);
  }
}
