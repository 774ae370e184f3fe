import type { BaseModel } from '#contracts/base-model.js';
import type { DenseChange } from '#contracts/parity.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { asNamedIn } from '../base-names.js';
import { newRegexBudget, PythonRegex } from '../peft/python-regex.js';
import { withoutUnread } from '../unread-modules.js';
import { type DenseTensor, denseTensor } from './dense-tensor.js';
import { type DenseStack, denseStack } from './dense-stack.js';

/*
 * A second, deliberately plain reading of an adapter for the parity check: it goes by the tensors that are in the file
 * and not by the modules that the config targets, and shares with peft/ only the matcher of regular expressions. It need
 * not refuse anything: only adapters that peft/ has accepted come here.
 */

/** The fields of adapter_config.json that say how tensors act. */
export interface DenseConfig {
  readonly lora_alpha?: number | undefined;
  readonly use_rslora?: boolean | null | undefined;
  readonly alpha_pattern?: Readonly<Record<string, number>> | null | undefined;
  readonly target_parameters?: readonly string[] | null | undefined;
  readonly modules_to_save?: readonly string[] | null | undefined;
  readonly trainable_token_indices?:
    | readonly number[]
    | Readonly<Record<string, readonly number[]>>
    | null
    | undefined;
  readonly ensure_weight_tying?: boolean | null | undefined;
}

export interface DenseInput {
  readonly config: DenseConfig;
  readonly header: SafetensorsHeader;
  readonly base: Pick<BaseModel, 'modules' | 'experts' | 'tieWordEmbeddings' | 'unreadModules'>;
}

type Tensors = Partial<
  Record<DenseTensor['part'], { readonly name: string; readonly rows: number; readonly columns: number }>
>;

/** PEFT's default of lora_alpha. */
const DEFAULT_ALPHA = 8;

export function denseChanges({ config, header: whole, base: given }: DenseInput): DenseChange[] {
  const header = withoutUnread(whole, given);
  const { base, own } = asNamedIn(header, given);
  const names = new Set(base.modules.map(({ name }) => name));
  const byModule = new Map<string, Tensors>();
  const stacks = new Map<string, DenseStack>();
  for (const { name, shape } of header.tensors) {
    const stack = denseStack(name, base.experts ?? [], config.target_parameters ?? []);
    if (stack) stacks.set(stack.module, stack);
    const { module, part } = stack ?? denseTensor(name, names);
    const tensor = { name, rows: shape[0] ?? 0, columns: shape[1] ?? 0 };
    byModule.set(module, { ...byModule.get(module), [part]: tensor });
  }
  // A second copy counts only where it is the only one.
  for (const [module, { copy, ...tensors }] of byModule)
    byModule.set(module, { ...tensors, ...(copy && !tensors.weight ? { weight: copy } : {}) });
  const ends = vocabularyEnds(base);
  if (base.tieWordEmbeddings) shareEmbedding(byModule, config, ends);
  const alphaOf = alphaByModule(config, byModule.size);
  const turned = [...stacks.values()].some((stack) => {
    const columns = byModule.get(stack.module)?.a?.columns;
    return columns !== stack.in && columns === stack.out;
  });
  return [...byModule].flatMap(([module, tensors]) => {
    const change = changeOf({ module, tensors, config, alphaOf, ends, stack: stacks.get(module), turned });
    return own(change.module).map((place) => ({ ...change, ...place }));
  });
}

interface OneModule {
  readonly module: string;
  readonly tensors: Tensors;
  readonly config: DenseConfig;
  readonly alphaOf: (module: string) => number;
  readonly ends: VocabularyEnds;
  readonly stack: DenseStack | undefined;
  readonly turned: boolean;
}

function changeOf({ module, tensors, config, alphaOf, ends, stack, turned }: OneModule): DenseChange {
  const { a, b, rows } = tensors;
  const rank = (a?.rows ?? 0) / (stack?.count ?? 1);
  const lowRank = a &&
    b && {
      a: a.name,
      b: b.name,
      scale: scaleOf(alphaOf(module), rank, config),
      ...(stack && turned && { turned }),
    };
  const named = (['weight', 'loraBias', 'magnitude', 'bias'] as const).flatMap((part) => {
    const tensor = tensors[part];
    return tensor ? [[part, tensor.name]] : [];
  });
  return {
    module,
    ...Object.fromEntries(named),
    ...(lowRank && { lowRank }),
    ...(rows && { rows: { indices: [...tokenRows(module, config, ends)], tensor: rows.name } }),
  };
}

/** A's rows are the module's rank, whatever rank_pattern says. */
function scaleOf(alpha: number, rank: number, config: DenseConfig): number {
  return config.use_rslora === true ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** The first key of alpha_pattern, in the file's order, that matches the end of the module's path. */
function alphaByModule(config: DenseConfig, modules: number): (module: string) => number {
  const budget = newRegexBudget(modules);
  const patterns = Object.entries(config.alpha_pattern ?? {}).map(([key, alpha]) => ({
    alpha,
    regex: new PythonRegex(`(.*\\.)?(${key})$`, budget),
  }));
  return (module) => {
    // A parameter that is named itself goes by its own path.
    const weight = `${module}.weight`;
    const byName = config.target_parameters?.some((wanted) => `.${weight}`.endsWith(`.${wanted}`));
    const path = byName === true ? weight : module;
    return (
      patterns.find(({ regex }) => regex.matchesPrefix(path))?.alpha ?? config.lora_alpha ?? DEFAULT_ALPHA
    );
  };
}

interface VocabularyEnds {
  readonly table: string;
  readonly head: string;
}

function vocabularyEnds({ modules }: DenseInput['base']): VocabularyEnds {
  return {
    table: modules.find(({ kind }) => kind === 'embedding')?.name ?? '',
    head: modules.findLast(({ kind }) => kind === 'linear')?.name ?? '',
  };
}

/** A head without an entry of its own has the table's. */
function tokenRows(
  module: string,
  { trainable_token_indices: wanted }: DenseConfig,
  ends: VocabularyEnds,
): readonly number[] {
  if (!wanted) return [];
  if (Array.isArray(wanted)) return wanted as readonly number[];
  const entries = Object.entries(wanted);
  const of = (name: string) => entries.find(([suffix]) => name.endsWith(suffix))?.[1];
  return of(module) ?? (module === ends.head ? of(ends.table) : undefined) ?? [];
}

/**
 * Tied, table and head are one parameter: a weight that was saved for either is loaded into both, the head's last, and a
 * module in modules_to_save has a copy of its own beside it; with ensure_weight_tying the copies are one as well.
 */
function shareEmbedding(
  byModule: Map<string, Tensors>,
  config: DenseConfig,
  { table, head }: VocabularyEnds,
): void {
  const both = [table, head];
  const tensors = (module: string): Tensors => byModule.get(module) ?? {};
  const own = (module: string): boolean =>
    config.modules_to_save?.some((saved) => module.endsWith(saved)) ?? false;
  if (config.ensure_weight_tying === true && both.some(own)) {
    const weight = tensors(head).weight ?? tensors(table).weight;
    for (const module of both) byModule.set(module, { ...tensors(module), ...(weight && { weight }) });
  } else {
    const loaded = both.map((module) => (own(module) ? tensors(module).original : tensors(module).weight));
    const weight = loaded.findLast((tensor) => tensor !== undefined);
    for (const module of both)
      if (weight && !own(module)) byModule.set(module, { ...tensors(module), weight });
  }
  shareRows(byModule, config, { table, head });
}

/** The head takes the table's rows, also where the file has a copy for it, unless the config gives it rows of its own. */
function shareRows(byModule: Map<string, Tensors>, config: DenseConfig, ends: VocabularyEnds): void {
  const rows = byModule.get(ends.table)?.rows;
  const [ofTable, ofHead] = [tokenRows(ends.table, config, ends), tokenRows(ends.head, config, ends)];
  if (!rows || String(ofTable) !== String(ofHead)) return;
  byModule.set(ends.head, { ...byModule.get(ends.head), rows });
}
