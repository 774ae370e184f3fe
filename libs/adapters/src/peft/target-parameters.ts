import type { AdapterErrorCode, AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseExperts, BaseModel } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';

const FIELD = 'target_parameters';

/** One parameter that holds the weights of all experts of a layer, and has one A and one B for all. */
export interface ExpertStack {
  /** `model.layers.0.mlp.experts.gate_up_proj` */
  readonly name: string;
  readonly count: number;
  /** Of one expert. */
  readonly out: number;
  readonly in: number;
  /** The path of its tensors: PEFT wraps the container once per parameter, the later around the earlier. */
  readonly wrapper: string;
}

export interface ResolvedParameters {
  readonly stacks: readonly ExpertStack[];
  /** Linear modules and routers whose weight is named. */
  readonly modules: ReadonlySet<string>;
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

/** target_parameters, as PEFT's _inject_parameters finds them: by the whole path or the end of it. */
export function resolveParameters(config: HonouredFields, base: BaseModel): ResolvedParameters {
  const wanted = config.target_parameters;
  if (wanted.length === 0) return { stacks: [], modules: new Set(), errors: [], warnings: [] };
  const errors: AdapterProblem[] = [];
  const modules = new Set<string>();
  const hit = new Set<string>();
  const isWanted = (path: string): boolean => {
    const matching = wanted.filter((name) => path === name || path.endsWith(`.${name}`));
    for (const name of matching) hit.add(name);
    return matching.length > 0;
  };
  for (const { name, kind, bias, transposed } of base.modules) {
    if (bias && isWanted(`${name}.bias`)) errors.push(problem(`matches the bias of ${name}.`, name));
    if (!isWanted(`${name}.weight`)) continue;
    if (kind === 'linear' && transposed !== true) modules.add(name);
    else errors.push(problem(`matches the weight of ${name}, which is no linear module.`, name));
  }
  const stacks = (base.experts ?? []).flatMap((experts) => {
    for (const bias of [experts.fusedUp, experts.fusedDown].map((name) => `${experts.name}.${name}_bias`)) {
      if (isWanted(bias)) errors.push(problem(`matches ${bias}: the biases of experts are not adapted.`));
    }
    return wrapped(
      experts,
      stacksOf(experts).filter(({ name }) => isWanted(name)),
    );
  });
  return { stacks, modules, errors, warnings: wanted.filter((name) => !hit.has(name)).map(unmatched) };
}

type BareStack = Omit<ExpertStack, 'wrapper'>;

/** In the order of their container's parameters. */
function stacksOf({ name, count, hidden, width, fusedUp, fusedDown }: BaseExperts): BareStack[] {
  return [
    { name: `${name}.${fusedUp}`, count, out: 2 * width, in: hidden },
    { name: `${name}.${fusedDown}`, count, out: hidden, in: width },
  ];
}

function wrapped({ name }: BaseExperts, stacks: readonly BareStack[]): ExpertStack[] {
  return stacks.map((stack, at) => ({
    ...stack,
    wrapper: `${name}${'.base_layer'.repeat(stacks.length - 1 - at)}`,
  }));
}

/** All that a file may have tensors of, for what the config says too little. */
export function everyStack(base: BaseModel): ExpertStack[] {
  return (base.experts ?? []).flatMap((experts) => wrapped(experts, stacksOf(experts)));
}

/**
 * PEFT before 0.21 took the parameter's second dimension for its inputs, whatever the model computes with it. One A that
 * fits this alone says that the whole file was written so.
 */
export function areTurned(
  stacks: readonly ExpertStack[],
  columnsOfA: (stack: ExpertStack) => number | undefined,
): boolean {
  return stacks.some((stack) => stack.in !== stack.out && columnsOfA(stack) === stack.out);
}

function unmatched(name: string): AdapterWarning {
  const message = `${FIELD}: ${JSON.stringify(name)} matches nothing.`;
  return { code: 'name_unmatched', message, field: FIELD };
}

function problem(message: string, module?: string): AdapterProblem {
  const code: AdapterErrorCode = 'target_unsupported';
  return { code, message: `${FIELD}: ${message}`, field: FIELD, ...(module !== undefined && { module }) };
}
