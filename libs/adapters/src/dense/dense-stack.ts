import type { BaseExperts } from '#contracts/base-model.js';

/** A tensor of all experts of a layer. */
export interface DenseStack {
  readonly module: string;
  readonly part: 'a' | 'b';
  readonly count: number;
  /** Of one expert. */
  readonly in: number;
  readonly out: number;
}

const STACKED = /^base_model\.model\.(.+?)((?:\.base_layer)*)\.lora_(A|B)(?:\.\w+)?\.weight$/;

/**
 * Undefined: the tensor is no such. The outermost wrapper is the last targeted parameter's; each base_layer in the name goes
 * one back.
 */
export function denseStack(
  name: string,
  experts: readonly BaseExperts[],
  parameters: readonly string[],
): DenseStack | undefined {
  const [, container, wrappers = '', letter] = STACKED.exec(name) ?? [];
  const layer = experts.find((candidate) => candidate.name === container);
  if (!layer) return undefined;
  const { width, hidden, count } = layer;
  const all = [
    { leaf: layer.fusedUp, in: hidden, out: 2 * width },
    { leaf: layer.fusedDown, in: width, out: hidden },
  ];
  const targeted = all.filter(({ leaf }) =>
    parameters.some((wanted) => `.${layer.name}.${leaf}`.endsWith(`.${wanted}`)),
  );
  const depth = wrappers.split('.').length - 1;
  const found = targeted.at(-1 - depth);
  if (!found) throw new Error(`no targeted parameter is meant by the tensor ${name}`);
  return {
    module: `${layer.name}.${found.leaf}`,
    part: letter === 'A' ? 'a' : 'b',
    count,
    in: found.in,
    out: found.out,
  };
}
