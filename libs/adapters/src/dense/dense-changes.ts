import type { BaseModel } from '#contracts/base-model.js';
import type { DenseChange } from '#contracts/parity.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { newRegexBudget, PythonRegex } from '../peft/python-regex.js';
import { type DenseTensor, denseTensor } from './dense-tensor.js';

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
  readonly modules_to_save?: readonly string[] | null | undefined;
  readonly trainable_token_indices?:
    | readonly number[]
    | Readonly<Record<string, readonly number[]>>
    | null
    | undefined;
}

export interface DenseInput {
  readonly config: DenseConfig;
  readonly header: SafetensorsHeader;
  readonly base: Pick<BaseModel, 'modules' | 'tieWordEmbeddings'>;
}

type Tensors = Partial<Record<DenseTensor['part'], { readonly name: string; readonly rows: number }>>;

/** PEFT's default of lora_alpha. */
const DEFAULT_ALPHA = 8;

export function denseChanges({ config, header, base }: DenseInput): DenseChange[] {
  const names = new Set(base.modules.map(({ name }) => name));
  const byModule = new Map<string, Tensors>();
  for (const { name, shape } of header.tensors) {
    const { module, part } = denseTensor(name, names);
    byModule.set(module, { ...byModule.get(module), [part]: { name, rows: shape[0] ?? 0 } });
  }
  if (base.tieWordEmbeddings) shareEmbedding(byModule, config);
  const alphaOf = alphaByModule(config);
  return [...byModule].map(([module, tensors]) => changeOf(module, tensors, config, alphaOf));
}

function changeOf(
  module: string,
  tensors: Tensors,
  config: DenseConfig,
  alphaOf: (module: string) => number,
): DenseChange {
  const { a, b, rows } = tensors;
  const lowRank = a && b && { a: a.name, b: b.name, scale: scaleOf(alphaOf(module), a.rows, config) };
  const named = (['weight', 'loraBias', 'magnitude', 'bias'] as const).flatMap((part) => {
    const tensor = tensors[part];
    return tensor ? [[part, tensor.name]] : [];
  });
  return {
    module,
    ...Object.fromEntries(named),
    ...(lowRank && { lowRank }),
    ...(rows && { rows: { indices: [...tokenRows(module, config)], tensor: rows.name } }),
  };
}

/** A's rows are the module's rank, whatever rank_pattern says. */
function scaleOf(alpha: number, rank: number, config: DenseConfig): number {
  return config.use_rslora === true ? alpha / Math.sqrt(rank) : alpha / rank;
}

/** The first key of alpha_pattern, in the file's order, that matches the end of the module's path. */
function alphaByModule(config: DenseConfig): (module: string) => number {
  const budget = newRegexBudget();
  const patterns = Object.entries(config.alpha_pattern ?? {}).map(([key, alpha]) => ({
    alpha,
    regex: new PythonRegex(`(.*\\.)?(${key})$`, budget),
  }));
  return (module) =>
    patterns.find(({ regex }) => regex.matchesPrefix(module))?.alpha ?? config.lora_alpha ?? DEFAULT_ALPHA;
}

function tokenRows(module: string, { trainable_token_indices }: DenseConfig): readonly number[] {
  if (!trainable_token_indices) return [];
  if (Array.isArray(trainable_token_indices)) return trainable_token_indices as readonly number[];
  const found = Object.entries(trainable_token_indices).find(([suffix]) => module.endsWith(suffix));
  return (found?.[1] as readonly number[] | undefined) ?? [];
}

const TABLE = 'model.embed_tokens';
const HEAD = 'lm_head';

/**
 * Tied, table and head are one parameter: a weight that was saved for either is loaded into both, the head's last. A module
 * in modules_to_save has a copy of its own.
 */
function shareEmbedding(byModule: Map<string, Tensors>, config: DenseConfig): void {
  const own = (module: string): boolean =>
    config.modules_to_save?.some((saved) => module.endsWith(saved)) ?? false;
  const tied = [TABLE, HEAD].filter((module) => !own(module));
  const weight = tied
    .map((module) => byModule.get(module)?.weight)
    .findLast((tensor) => tensor !== undefined);
  if (weight === undefined) return;
  for (const module of tied) byModule.set(module, { ...byModule.get(module), weight });
}
