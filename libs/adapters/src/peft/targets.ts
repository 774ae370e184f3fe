import type { AdapterErrorCode, AdapterProblem, AdapterWarning } from '#contracts/adapter-report.js';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';
import { isUnread } from '../unread-modules.js';
import type { HonouredFields } from './fields.js';
import { layerFilter } from './layer-filter.js';
import { isPlainPattern, plainPatternEnds } from './plain-pattern.js';
import { newRegexBudget, PythonRegex, type RegexBudget } from './python-regex.js';
import { modulePaths, pathEndsWith, pathSuffixes } from './module-paths.js';
import { PythonRegexError } from './python-regex-parser.js';
import { resolveSavedModules } from './saved-modules.js';
import { type ExpertStack, type ResolvedParameters, resolveParameters } from './target-parameters.js';
import { resolveTokenRows, type TokenRows } from './token-rows.js';
import { vocabularyModules } from './vocabulary-modules.js';
import { applyWeightTying, type TiedConfig } from './weight-tying.js';

/** What the config asks for, module by module. */
export interface AdapterPlan {
  /** LoRA: rank and scale by the name of a module or of a stack. */
  readonly targets: ReadonlyMap<string, { readonly rank: number; readonly scale: number }>;
  /** What of `targets` is all experts of a layer at once. */
  readonly stacks: readonly ExpertStack[];
  /** Modules that the file replaces as a whole (modules_to_save). */
  readonly saved: ReadonlySet<string>;
  /** Rows of the embedding or the head that the file replaces, by module name. */
  readonly tokenRows: ReadonlyMap<string, TokenRows>;
  /** What ensure_weight_tying makes common to the embedding and the head. */
  readonly tied: TiedConfig['tied'];
}

export interface ResolvedTargets {
  readonly plan: AdapterPlan;
  readonly errors: readonly AdapterProblem[];
  readonly warnings: readonly AdapterWarning[];
}

/** Applies the config to the base model as PEFT's inject_adapter and set_additional_trainable_modules do. */
export function resolveTargets(
  config: HonouredFields,
  base: BaseModel,
  isAdaptedRouter: (module: string) => boolean = () => false,
): ResolvedTargets {
  const resolver = new TargetResolver(config, base, isAdaptedRouter);
  resolver.run();
  return resolver;
}

class TargetResolver implements ResolvedTargets {
  readonly errors: AdapterProblem[] = [];
  readonly warnings: AdapterWarning[] = [];
  private readonly targets = new Map<string, { rank: number; scale: number }>();
  private readonly parameters: ResolvedParameters;
  readonly plan: AdapterPlan;
  private readonly budget: RegexBudget;
  private readonly config: HonouredFields;
  /** The embedding and the head where ensure_weight_tying gives them one LoRA. */
  private readonly tiedTargets: ReadonlySet<string>;
  private readonly modules: ReadonlyMap<string, BaseModule>;
  /** Modules and all that contain them, in the base model's order: PEFT tries its patterns on every one. */
  private readonly names: readonly string[];

  constructor(
    config: HonouredFields,
    private readonly base: BaseModel,
    /** Routers that the file has tensors of. */
    private readonly isAdaptedRouter: (module: string) => boolean,
  ) {
    this.modules = new Map(base.modules.map((module) => [module.name, module]));
    this.names = modulePaths(base);
    this.budget = newRegexBudget(this.names.length);
    const tying = applyWeightTying(config, base, this.budget);
    this.config = tying.config;
    const { table, head } = vocabularyModules(base);
    const both = tying.tied === undefined ? [] : [table, head].flatMap((module) => module?.name ?? []);
    this.tiedTargets = new Set(tying.tied === 'targets' ? both : []);
    const saved = resolveSavedModules(tying.config, base);
    const rows = resolveTokenRows(config, base);
    this.parameters = resolveParameters(config, base);
    this.plan = {
      targets: this.targets,
      stacks: this.parameters.stacks,
      saved: tying.tied === 'saved' ? new Set([...saved.saved, ...both]) : saved.saved,
      tokenRows: rows.tokenRows,
      tied: tying.tied,
    };
    this.errors.push(...saved.errors, ...rows.errors, ...this.parameters.errors);
    this.warnings.push(...tying.warnings, ...saved.warnings, ...this.parameters.warnings);
  }

  run(): void {
    const matched = this.matchTargets();
    if (matched !== undefined) this.assignScales(matched);
    this.checkClaims();
    this.checkFanInFanOut();
  }

  // ---- target_modules, exclude_modules, layers_to_transform ----

  private matchTargets(): Set<string> | undefined {
    const excluded = this.excluded();
    const matches = this.targetMatcher();
    if (excluded === undefined || matches === undefined) return undefined;
    return this.attempt('target_modules', () => this.collect(excluded, matches));
  }

  private collect(excluded: ReadonlySet<string>, matches: (name: string) => boolean): Set<string> {
    const matched = new Set<string>();
    for (const name of this.names) {
      if (!this.tiedTargets.has(name) && (excluded.has(name) || !matches(name))) continue;
      const module = this.modules.get(name);
      if (module === undefined || module.kind === 'norm') {
        const what = module === undefined ? 'a container of modules' : 'a norm';
        this.fail(
          'target_unsupported',
          'target_modules',
          `matches ${name}, ${what}, which LoRA cannot adapt.`,
          name,
        );
      } else {
        matched.add(name);
      }
    }
    for (const name of this.parameters.modules) {
      if (matched.has(name)) {
        const message = `names the weight of ${name}, which target_modules adapts; PEFT refuses that.`;
        this.fail('module_conflict', 'target_parameters', message, name);
      }
      matched.add(name);
    }
    for (const { name } of this.parameters.stacks) matched.add(name);
    if (matched.size === 0) {
      this.fail(
        'target_none_matched',
        'target_modules',
        'matches no module of the base model that is not excluded.',
      );
    }
    return matched;
  }

  private excluded(): Set<string> | undefined {
    const { exclude_modules: exclude, modules_to_save: saved } = this.config;
    const excluded = new Set<string>();
    if (typeof exclude === 'string') {
      const regex = this.compile('exclude_modules', exclude);
      if (regex === undefined) return undefined;
      const hits = this.attempt('exclude_modules', () => this.names.filter((name) => regex.fullMatch(name)));
      if (hits === undefined) return undefined;
      if (hits.length === 0) this.unmatched('exclude_modules', exclude);
      for (const name of hits) excluded.add(name);
    }
    for (const wanted of Array.isArray(exclude) ? exclude : []) {
      const hits = this.names.filter((name) => pathEndsWith(name, wanted));
      if (hits.length === 0) this.unmatched('exclude_modules', wanted);
      for (const name of hits) excluded.add(name);
    }
    for (const wanted of saved) {
      // A dotted name is a regular expression to PEFT here; its dots match any character.
      if (!this.isPlain('modules_to_save', wanted)) return undefined;
      const hits = this.attempt('modules_to_save', () => {
        const regex = new PythonRegex(`(^|.*\\.)${wanted}($|\\..*)`, this.budget);
        return this.names.filter((name) => regex.matchesPrefix(name));
      });
      if (hits === undefined) return undefined;
      for (const name of hits) excluded.add(name);
    }
    return excluded;
  }

  private targetMatcher(): ((name: string) => boolean) | undefined {
    const { target_modules: wanted } = this.config;
    if (wanted === null) return this.config.target_parameters.length > 0 ? () => false : undefined;
    if (Array.isArray(wanted)) return this.attempt('target_modules', () => this.listMatcher(wanted));
    if (wanted.toLowerCase() === 'all-linear') {
      // PEFT leaves out the output head, and only that.
      const head = vocabularyModules(this.base).head?.name;
      // Transformers 4 had a linear module for a router, and today's PEFT takes it for one, too, where it converts the
      // config; for other models it does not. The file tells.
      return (name) => {
        const module = this.modules.get(name);
        if (module?.router === true && !this.isAdaptedRouter(name)) return false;
        return module?.kind === 'linear' && name !== head;
      };
    }
    const regex = this.compile('target_modules', wanted);
    if (regex === undefined) return undefined;
    const hits = this.attempt(
      'target_modules',
      () => new Set(this.names.filter((name) => regex.fullMatch(name))),
    );
    return hits && ((name) => hits.has(name));
  }

  private listMatcher(wanted: readonly string[]): ((name: string) => boolean) | undefined {
    const exact = new Set(wanted);
    const filter = layerFilter(this.config, this.base, this.budget);
    if ('problems' in filter) {
      this.errors.push(...filter.problems);
      return undefined;
    }
    for (const name of exact) this.checkListed(name);
    const bySuffix = (name: string) => pathSuffixes(name).some((suffix) => exact.has(suffix));
    // PEFT does not apply layers_to_transform to a module that is listed by its full name. But from this many names on it
    // first shortens them to suffixes, where it does; so what such a config means depends on PEFT's version.
    if (exact.size >= SHORTENED_FROM_NAMES) {
      const torn = this.names.find((name) => exact.has(name) && !filter.keeps(name));
      if (torn !== undefined) {
        const message = `excludes ${torn}, which target_modules lists in full; PEFT versions differ in what that means.`;
        this.fail('config_conflict', 'layers_to_transform', message, torn);
      }
    }
    return (name) => exact.has(name) || (bySuffix(name) && filter.keeps(name));
  }

  /** A bare name that matches nothing is common (lists made for many architectures); a full path is another model's. */
  private checkListed(wanted: string): void {
    if (this.names.some((name) => pathEndsWith(name, wanted)) || isUnread(wanted, this.base)) return;
    if (!wanted.includes('.')) {
      this.unmatched('target_modules', wanted);
      return;
    }
    this.fail(
      'target_not_in_base',
      'target_modules',
      `lists ${wanted}, which the base model does not have.`,
      wanted,
    );
  }

  // ---- r, lora_alpha, rank_pattern, alpha_pattern, use_rslora ----

  private assignScales(matched: ReadonlySet<string>): void {
    const rankOf = this.patternLookup('rank_pattern', matched);
    const alphaOf = this.patternLookup('alpha_pattern', matched);
    if (rankOf === undefined || alphaOf === undefined) return;
    const tiedRanks = new Set([...this.tiedTargets].map((name) => rankOf.get(name) ?? this.config.r));
    if (tiedRanks.size > 1) {
      this.fail('config_conflict', 'rank_pattern', 'gives tied modules different ranks.');
      return;
    }
    for (const name of matched) {
      const rank = rankOf.get(name) ?? this.config.r;
      const alpha = alphaOf.get(name) ?? this.config.lora_alpha;
      this.targets.set(name, { rank, scale: alpha / (this.config.use_rslora ? Math.sqrt(rank) : rank) });
    }
  }

  /** PEFT's get_pattern_key: the first key, in the file's order, that matches the end of the name. */
  private patternLookup(
    field: 'rank_pattern' | 'alpha_pattern',
    matched: ReadonlySet<string>,
  ): Map<string, number> | undefined {
    const values = new Map<string, number>();
    for (const [key, value] of Object.entries(this.config[field])) {
      const hits = this.endMatches(field, key, matched);
      if (hits === undefined) return undefined;
      if (hits.length === 0) this.unmatched(field, key);
      for (const name of hits) if (!values.has(name)) values.set(name, value);
    }
    return values;
  }

  private endMatches(field: string, key: string, names: ReadonlySet<string>): string[] | undefined {
    // What target_parameters names is known by the parameter's name, not the module's.
    const path = (name: string) => (this.parameters.modules.has(name) ? `${name}.weight` : name);
    // Configs with one plain key per module are common (EVA), and the square of a large model's modules is a lot.
    if (isPlainPattern(key)) return [...names].filter((name) => plainPatternEnds(path(name), key));
    const regex = this.compile(field, `(.*\\.)?(${key})$`, key);
    return (
      regex && this.attempt(field, () => [...names].filter((name) => regex.matchesPrefix(path(name))), key)
    );
  }

  // ---- what excludes each other ----

  private checkClaims(): void {
    for (const name of this.targets.keys()) {
      if (this.plan.saved.has(name)) {
        const message = `claims ${name}, which target_modules adapts.`;
        this.fail('module_conflict', 'modules_to_save', message, name);
      }
      if (this.config.lora_bias && this.modules.get(name)?.kind === 'embedding') {
        this.fail('config_conflict', 'lora_bias', `PEFT refuses it on the embedding ${name}.`, name);
      }
    }
    for (const name of this.plan.tokenRows.keys()) {
      if (!this.plan.saved.has(name) && !this.targets.has(name)) continue;
      const message = `claims ${name}, which modules_to_save or target_modules changes as a whole.`;
      this.fail('module_conflict', 'trainable_token_indices', message, name);
    }
  }

  private checkFanInFanOut(): void {
    const turned = this.base.modules.some(({ transposed }) => transposed === true);
    if (this.config.fan_in_fan_out && !turned) {
      const message =
        'fan_in_fan_out has no effect: the base model has no layer that stores its weight transposed.';
      this.warnings.push({ code: 'fan_in_fan_out_ignored', message, field: 'fan_in_fan_out' });
    }
  }

  // ---- reporting ----

  private isPlain(field: string, name: string): boolean {
    if (isPlainPattern(name)) return true;
    this.fail('regex_unsupported', field, `only plain names are supported, not ${JSON.stringify(name)}.`);
    return false;
  }

  private compile(field: string, pattern: string, shown = pattern): PythonRegex | undefined {
    return this.attempt(field, () => new PythonRegex(pattern, this.budget), shown);
  }

  private attempt<T>(field: string, work: () => T, shown?: string): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof PythonRegexError)) throw error;
      const pattern = shown === undefined ? '' : ` ${JSON.stringify(shown.slice(0, 200))}`;
      this.fail('regex_unsupported', field, `the pattern${pattern}: ${error.message}.`);
      return undefined;
    }
  }

  private unmatched(field: string, name: string): void {
    const code = field.endsWith('_pattern') ? 'pattern_unmatched' : 'name_unmatched';
    this.warnings.push({ code, message: `${field}: ${JSON.stringify(name)} matches nothing.`, field });
  }

  private fail(code: AdapterErrorCode, field: string, message: string, module?: string): void {
    this.errors.push({
      code,
      message: `${field}: ${message}`,
      field,
      ...(module === undefined ? {} : { module }),
    });
  }
}

/** From this many target_modules on, PEFT condenses them (MIN_TARGET_MODULES_FOR_OPTIMIZATION). */
const SHORTENED_FROM_NAMES = 20;
