import { type AdapterManifest, AdapterManifestSchema } from '#contracts/adapter-manifest.js';
import type {
  AdapterErrorCode,
  AdapterProblem,
  AdapterReport,
  AdapterWarning,
} from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import { SafetensorsError } from '#safetensors/error.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { asNamedIn } from '../base-names.js';
import { unreadWarnings, withoutUnread } from '../unread-modules.js';
import { checkBase } from './check-base.js';
import { checkInvocation } from './check-invocation.js';
import { readConfig } from './config.js';
import { expectedTensors } from './expected-tensors.js';
import { otherFileKind } from './file-kinds.js';
import { manifestModules } from './manifest-modules.js';
import { mapTensors } from './map-tensors.js';
import { ownVocabulary, vocabularyProblems, withVocabulary } from './own-vocabulary.js';
import { buildReport } from './report.js';
import { areTurned, type ExpertStack } from './target-parameters.js';
import { resolveTargets } from './targets.js';
import { parseTensorName, withoutWrappers } from './tensor-names.js';

export interface AdapterInput {
  /** adapter_config.json. */
  readonly configJson: string;
  readonly header: SafetensorsHeader;
  /** The base model that the adapter shall run on. */
  readonly base: BaseModel;
  readonly weights: AdapterManifest['weights'];
  /** Parts of the manifest that other files than the two say. */
  readonly extras?: Pick<AdapterManifest, 'chatTemplate' | 'toolChatTemplate' | 'generation' | 'addedTokens'>;
  /** Refuse an adapter whose config does not name the base that is served. */
  readonly mustMatchBase?: boolean;
}

/** The tensors of such an adapter have names of their own; nothing is said about them. */
const NOT_LORA: ReadonlySet<AdapterErrorCode> = new Set(['peft_type_unsupported', 'config_not_peft']);

export type AdapterReading =
  | { readonly verdict: 'accepted'; readonly manifest: AdapterManifest; readonly report: AdapterReport }
  | { readonly verdict: 'rejected'; readonly report: AdapterReport };

/** For SafetensorsValidator: an adapter of 50 000 tensors stays below this. */
export const MAX_ADAPTER_HEADER_BYTES = 16_000_000;

/**
 * PEFT's semantics in one place: the manifest says what PEFT 0.21 computes after PeftModel.from_pretrained, or there is
 * none. Collects as many errors as it can. NaN and effect are scanWeights' to find.
 */
export function readAdapter(input: AdapterInput): AdapterReading {
  const header = withoutUnread(input.header, input.base);
  const vocabSize = ownVocabulary(input.configJson, header, input.base);
  const { base, own } = asNamedIn(header, withVocabulary(input.base, vocabSize));
  const { config, fields, errors: configErrors } = readConfig(input.configJson);
  const checked = config && checkBase(config, base, input.mustMatchBase ?? false);
  const isAdapted = (module: string): boolean => columnsOfA(header, module) !== undefined;
  const resolved = config && resolveTargets(config, base, isAdapted);
  const stacks = resolved?.plan.stacks ?? [];
  const turned = areTurned(stacks, ({ wrapper }: ExpertStack) => columnsOfA(header, wrapper));
  // Without a single sure target every tensor would be reported as unexpected, which helps nobody.
  const sure = config && resolved && resolved.plan.targets.size > 0;
  const expected = sure ? expectedTensors(config, resolved.plan, base, turned) : undefined;
  const otherMethod = configErrors.some(({ code }) => NOT_LORA.has(code));
  const mapped = otherMethod ? undefined : mapTensors(header, base, expected, stacks);
  const modules = mapped && resolved ? manifestModules(resolved.plan, base, mapped.found, turned) : [];
  const errors = [
    ...configErrors,
    ...(checked?.errors ?? []),
    ...(resolved?.errors ?? []),
    ...(mapped?.errors ?? []),
    ...(config ? checkInvocation(config, base, modules) : []),
  ];
  if (errors.length === 0 && vocabSize !== undefined)
    errors.push(...vocabularyProblems(modules, input.base, base));
  const report = buildReport({
    errors,
    warnings: [
      ...(checked?.warnings ?? []),
      ...(mapped?.warnings ?? []),
      ...unreadWarnings(input.header, input.base),
      ...(resolved?.warnings ?? []),
      ...replacedWeights(mapped?.tensors ?? [], resolved?.plan.saved),
    ],
    fields,
    tensors: mapped?.tensors ?? [],
    modules,
  });
  if (errors.length > 0) return { verdict: 'rejected', report };
  const invocationTokens = config?.alora_invocation_tokens ?? [];
  const manifest = AdapterManifestSchema.parse({
    format: formatOf(invocationTokens, vocabSize, input.extras?.addedTokens),
    ...(invocationTokens.length > 0 && { invocationTokens }),
    ...(vocabSize !== undefined && { vocabSize }),
    base: base.digest,
    weights: input.weights,
    ...input.extras,
    modules: modules.flatMap((module) => own(module.module).map((place) => ({ ...module, ...place }))),
  });
  return { verdict: 'accepted', manifest, report };
}

/** The oldest that an engine must know to heed all of it. */
function formatOf(
  invocation: readonly number[],
  vocabSize: number | undefined,
  added: AdapterManifest['addedTokens'],
): AdapterManifest['format'] {
  if (vocabSize !== undefined || added !== undefined) return 'lorikeet.adapter.v3';
  return invocation.length > 0 ? 'lorikeet.adapter.v2' : 'lorikeet.adapter.v1';
}

/** Of the lora_A that stands at a path in the file, where there is one. */
function columnsOfA({ tensors }: SafetensorsHeader, path: string): number | undefined {
  const found = tensors.find(({ name }) => {
    if (!name.includes(path)) return false;
    const parsed = parseTensorName(withoutWrappers(name), () => false);
    return parsed?.module === path && parsed.part === 'lora_A';
  });
  return found?.shape[1];
}

/**
 * For a file that is no safetensors file at all; what is wrong with the config is said, too, where it is given, and what
 * the file is instead, where its first bytes (`begin`) tell. Other errors than the validator's are thrown on.
 */
export function rejectUnreadable(
  error: unknown,
  { configJson, begin }: { configJson?: string; begin?: Uint8Array } = {},
): AdapterReport {
  if (!(error instanceof SafetensorsError)) throw error;
  const { tensor, expected, found } = error.details;
  const kind = begin && otherFileKind(begin);
  const problem: AdapterProblem = {
    code: 'weights_file_invalid',
    message:
      kind === undefined
        ? `adapter_model.safetensors: ${error.message} (${error.code}).`
        : `adapter_model.safetensors ${kind}`,
    ...(tensor !== undefined && { tensor }),
    ...(expected !== undefined && { expected }),
    ...(found !== undefined && { found }),
  };
  const config = configJson === undefined ? undefined : readConfig(configJson);
  const errors = [problem, ...(config?.errors ?? [])];
  return buildReport({ errors, warnings: [], fields: config?.fields ?? [], tensors: [], modules: [] });
}

/** The report of an accepted adapter in which scanWeights has found something after all. */
export function rejectWith(report: AdapterReport, problems: readonly AdapterProblem[]): AdapterReport {
  const { totals } = report;
  return {
    ...report,
    verdict: 'rejected',
    errors: [...report.errors, ...problems],
    ...(totals && { totals: { ...totals, errors: totals.errors + problems.length } }),
  };
}

/** The report with what was found after it was made. */
export function warnWith(report: AdapterReport, warnings: readonly AdapterWarning[]): AdapterReport {
  const { totals } = report;
  return {
    ...report,
    warnings: [...report.warnings, ...warnings],
    ...(totals && { totals: { ...totals, warnings: totals.warnings + warnings.length } }),
  };
}

function replacedWeights(
  tensors: readonly { name: string; module: string; role: string }[],
  saved: ReadonlySet<string> | undefined,
): AdapterWarning[] {
  return tensors
    .filter(({ role, module }) => role === 'weight' && saved?.has(module) === false)
    .map(({ name, module }) => ({
      code: 'base_weight_replaced',
      message: `${name} takes the place of the base model's own weight, as in PEFT.`,
      tensor: name,
      module,
    }));
}
