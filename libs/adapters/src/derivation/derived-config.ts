import { isMlxConfig } from '../mlx/mlx-config.js';

type Config = Readonly<Record<string, unknown>>;
interface Ranked {
  readonly module: string;
  readonly rank: number;
}

/** Fields of the inputs that the result has as well: the first input that says anything. */
const KEPT = ['base_model_name_or_path', 'task_type'];

/** adapter_config.json of deltas alone, each of scale 1. */
export function composedConfig(inputs: readonly Config[], modules: readonly Ranked[]): object {
  const kept = KEPT.flatMap((name) => {
    const config = inputs.find((each) => each[name] !== undefined && each[name] !== null);
    return config ? [[name, config[name]] as const] : [];
  });
  return {
    peft_type: 'LORA',
    task_type: 'CAUSAL_LM',
    ...Object.fromEntries(kept),
    inference_mode: true,
    ...ranksOf(modules),
    target_modules: targetsOf(modules),
    lora_dropout: 0,
    bias: 'none',
    fan_in_fan_out: inputs.some(({ fan_in_fan_out: transposed }) => transposed === true),
    use_rslora: false,
    use_dora: false,
  };
}

/** The config of the same adapter with these ranks, each delta of scale 1. `dora` matters to what came as MLX-LM writes it. */
export function shrunkConfig(config: Config, modules: readonly Ranked[], dora: boolean): object {
  if (isMlxConfig(config)) {
    const { model } = config;
    const named = { ...composedConfig([{ base_model_name_or_path: model }], modules), use_dora: dora };
    return named;
  }
  return { ...config, ...ranksOf(modules), use_rslora: false };
}

/** The same of single experts where there were stacks: each module by name. */
export function unstackedConfig(config: object, modules: readonly Ranked[]): object {
  return {
    ...config,
    target_modules: targetsOf(modules),
    target_parameters: null,
    layers_to_transform: null,
    layers_pattern: null,
  };
}

/** A list of names has at most 10,000; experts of many layers are as well known by the end of their names. */
const MOST_NAMES = 8_000;
const EXPERT = /(?<=\.)experts\.\d+\.\w+$/;

function targetsOf(modules: readonly Ranked[]): string[] {
  const names = modules.map(({ module }) => module);
  if (names.length <= MOST_NAMES) return names;
  return [...new Set(names.map((name) => EXPERT.exec(name)?.[0] ?? name))];
}

/** The rank of most modules is `r`; alpha as large as the rank makes the scale 1. */
function ranksOf(modules: readonly Ranked[]): object {
  const counts = new Map<number, number>();
  for (const { rank } of modules) counts.set(rank, (counts.get(rank) ?? 0) + 1);
  const [r = 1] = [...counts].sort((x, y) => y[1] - x[1] || y[0] - x[0]).map(([rank]) => rank);
  const others = modules.filter(({ rank }) => rank !== r).map(({ module, rank }) => [module, rank] as const);
  return {
    r,
    lora_alpha: r,
    rank_pattern: Object.fromEntries(others),
    alpha_pattern: Object.fromEntries(others),
  };
}
