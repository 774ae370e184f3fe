import type { AdapterProblem } from '#contracts/adapter-report.js';

/** What to do with a kind of adapter that PEFT itself can write down as a LoRA. */
export const SAVE_AS_LORA =
  "PEFT 0.18 and later can write it as a plain LoRA: `peft.save_as_lora('folder', model, rank)`.";

interface Family {
  /** PEFT's config class. */
  readonly config: string;
  readonly convertible?: boolean;
  /** Works by virtual tokens in front of the prompt. */
  readonly prompt?: boolean;
}
const family = (config: string, traits: Omit<Family, 'config'> = {}): Family => ({ config, ...traits });
const convertible = (config: string): Family => family(config, { convertible: true });
const prompt = (config: string): Family => family(config, { prompt: true });

const FAMILIES: Readonly<Record<string, Family>> = {
  PROMPT_TUNING: prompt('PromptTuningConfig'),
  MULTITASK_PROMPT_TUNING: prompt('MultitaskPromptTuningConfig'),
  P_TUNING: prompt('PromptEncoderConfig'),
  PREFIX_TUNING: prompt('PrefixTuningConfig'),
  CPT: prompt('CPTConfig'),
  CARTRIDGE: prompt('CartridgeConfig'),
  ADAPTION_PROMPT: family('AdaptionPromptConfig'),
  ADALORA: family('AdaLoraConfig'),
  IA3: family('IA3Config'),
  BOFT: family('BOFTConfig'),
  OFT: family('OFTConfig'),
  POLY: family('PolyConfig'),
  LN_TUNING: family('LNTuningConfig'),
  XLORA: family('XLoraConfig'),
  HRA: family('HRAConfig'),
  ROAD: family('RoadConfig'),
  OSF: family('OSFConfig'),
  TRAINABLE_TOKENS: family('TrainableTokensConfig'),
  LOHA: convertible('LoHaConfig'),
  LOKR: convertible('LoKrConfig'),
  VERA: convertible('VeraConfig'),
  FOURIERFT: convertible('FourierFTConfig'),
  VBLORA: convertible('VBLoRAConfig'),
  RANDLORA: convertible('RandLoraConfig'),
  SHIRA: convertible('ShiraConfig'),
  HIRA: convertible('HiraConfig'),
  C3A: convertible('C3AConfig'),
  MISS: convertible('MissConfig'),
  WAVEFT: convertible('WaveFTConfig'),
  DELORA: convertible('DeloraConfig'),
  GRALORA: convertible('GraloraConfig'),
  TINYLORA: convertible('TinyLoraConfig'),
  UNILORA: convertible('UniLoraConfig'),
  PSOFT: convertible('PsoftConfig'),
};

/** Why an adapter of another method of PEFT's is not served, and the way out. */
export function otherMethod(kind: string): string {
  const known = FAMILIES[kind.toUpperCase()];
  const name = known ? `${kind} (${known.config})` : JSON.stringify(kind.slice(0, 100));
  const out = known?.convertible
    ? ` ${SAVE_AS_LORA}`
    : known?.prompt
      ? ' Virtual tokens cannot be written as a LoRA: train a LoRA instead.'
      : known
        ? ' It cannot be written as a LoRA: train a LoRA, or merge it (merge_and_unload) and serve the result as a base model.'
        : '';
  return `peft_type: only LORA is supported, not ${name}.${out}`;
}

/** What a config without peft_type is, where that can be told; MLX-LM's is known apart (mlx/). */
export function otherConfig(object: Readonly<Record<string, unknown>>): AdapterProblem | undefined {
  const has = (...names: string[]): boolean => names.every((name) => Object.hasOwn(object, name));
  const what = has('architectures', 'model_type')
    ? "a model's config.json, not an adapter's: send the adapter_config.json that PEFT's save_pretrained wrote"
    : has('model_class', 'config', 'hidden_size')
      ? "an AdapterHub config (Adapters library), whose LoRA layers have other names than PEFT's"
      : has('rank', 'alpha') || has('rank', 'scale')
        ? "no PEFT config (MLX-VLM writes such); convert the adapter to PEFT's format"
        : has('network_dim') || has('network_module')
          ? 'a kohya config of an image model'
          : undefined;
  return what === undefined
    ? undefined
    : { code: 'config_not_peft', message: `adapter_config.json is ${what}.`, field: 'peft_type' };
}
