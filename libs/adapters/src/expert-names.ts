import type { BaseExperts, BaseModule } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';

/**
 * How files name what they change of each expert:
 * - `w1`, `w3`, `w2` and `gate_proj`, `up_proj`, `down_proj`: `experts.3.w1`, as Transformers 4 had modules for them;
 * - with gate and up in one: `experts.3.gate_up_proj`;
 * - the lists of Unsloth's gpt-oss: `experts.gate_up_projs.3`.
 */
export interface ExpertSpelling {
  readonly gate?: string;
  readonly up?: string;
  /** Gate and up in one. */
  readonly both?: string;
  readonly down: string;
  /** The expert's number stands last. */
  readonly numberLast: boolean;
}

const SPELLINGS: readonly ExpertSpelling[] = [
  { gate: 'w1', up: 'w3', down: 'w2', numberLast: false },
  { gate: 'gate_proj', up: 'up_proj', down: 'down_proj', numberLast: false },
  { both: 'gate_up_proj', down: 'down_proj', numberLast: false },
  { both: 'gate_up_projs', down: 'down_projs', numberLast: true },
];

const NUMBER_FIRST = /^base_model\.model\.(.+\.experts)\.\d+\.(\w+)\./;
const NUMBER_LAST = /^base_model\.model\.(.+\.experts)\.(\w+)\.\d+\./;

/** The one in which the file names single experts; undefined: it names none. */
export function expertSpelling(
  header: SafetensorsHeader,
  experts: readonly BaseExperts[],
): ExpertSpelling | undefined {
  const containers = new Set(experts.map(({ name }) => name));
  const seen = { first: new Set<string>(), last: new Set<string>() };
  for (const { name } of header.tensors) {
    for (const [pattern, leaves] of [
      [NUMBER_FIRST, seen.first],
      [NUMBER_LAST, seen.last],
    ] as const) {
      const [, container = '', leaf = ''] = pattern.exec(name) ?? [];
      if (containers.has(container)) leaves.add(leaf);
    }
  }
  // The first that has all of the file's names; what is left is reported as no module of the base.
  const names = ({ gate, up, both, down }: ExpertSpelling) => [gate, up, both, down];
  const fits = (spelling: ExpertSpelling, all: boolean): boolean => {
    const leaves = [...(spelling.numberLast ? seen.last : seen.first)];
    const known = leaves.filter((leaf) => names(spelling).includes(leaf));
    return known.length > 0 && (!all || known.length === leaves.length);
  };
  return (
    SPELLINGS.find((spelling) => fits(spelling, true)) ?? SPELLINGS.find((spelling) => fits(spelling, false))
  );
}

export interface ExpertModuleName {
  /** As a linear module of its own, by the file's name. */
  readonly module: BaseModule;
  /** As the base names it. */
  readonly own: string;
}

export function expertModules(
  experts: readonly BaseExperts[],
  { gate, up, both, down, numberLast }: ExpertSpelling,
): ExpertModuleName[] {
  return experts.flatMap((layer) => {
    const maps = [
      { leaf: gate, own: layer.gate, out: layer.width, in: layer.hidden },
      { leaf: up, own: layer.up, out: layer.width, in: layer.hidden },
      { leaf: both, own: layer.fusedUp, out: 2 * layer.width, in: layer.hidden },
      { leaf: down, own: layer.down, out: layer.hidden, in: layer.width },
    ];
    return Array.from({ length: layer.count }, (_, expert) =>
      maps.flatMap(({ leaf, own, out, in: width }): ExpertModuleName[] => {
        if (leaf === undefined) return [];
        const name = numberLast ? `${layer.name}.${leaf}.${expert}` : `${layer.name}.${expert}.${leaf}`;
        const module = { name, kind: 'linear' as const, out, in: width, bias: false };
        return [{ module, own: `${layer.name}.${expert}.${own}` }];
      }),
    ).flat();
  });
}
