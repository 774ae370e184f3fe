/** What a tensor of a PEFT checkpoint is to its module. */
export type TensorPart =
  | 'lora_A'
  | 'lora_B'
  | 'lora_B.bias'
  | 'lora_embedding_A'
  | 'lora_embedding_B'
  | 'lora_magnitude_vector'
  | 'base_layer.weight'
  | 'base_layer.bias'
  | 'original_module.weight'
  | 'original_module.bias'
  | 'weight'
  | 'bias'
  | 'token_adapter';

export interface TensorName {
  /** As the base model names it; not yet known to exist. */
  readonly module: string;
  readonly part: TensorPart;
  /** The adapter's name, which raw state dicts carry and save_pretrained strips. */
  readonly adapter: string | undefined;
  /** Whether the name goes through modules_to_save; PEFT writes such a copy beside the plain name after a resize. */
  readonly isCopy: boolean;
}

const PREFIX = 'base_model.model.';

/** The ends that PEFT's releases give to names, longest first; `*` is the adapter's name, which may be absent. */
const ENDS: readonly [RegExp, TensorPart][] = [
  [/^(.+)\.lora_A(?:\.([\w-]+))?\.weight$/, 'lora_A'],
  [/^(.+)\.lora_B(?:\.([\w-]+))?\.weight$/, 'lora_B'],
  [/^(.+)\.lora_B(?:\.([\w-]+))?\.bias$/, 'lora_B.bias'],
  [/^(.+)\.lora_embedding_A(?:\.([\w-]+))?$/, 'lora_embedding_A'],
  [/^(.+)\.lora_embedding_B(?:\.([\w-]+))?$/, 'lora_embedding_B'],
  // Once a parameter, then a module with a weight, saved again without it.
  [/^(.+)\.lora_magnitude_vector(?:\.((?!weight$)[\w-]+))?(?:\.weight)?$/, 'lora_magnitude_vector'],
  [/^(.+)\.token_adapter\.base_layer()\.weight$/, 'base_layer.weight'],
  [/^(.+)\.base_layer()\.weight$/, 'base_layer.weight'],
  [/^(.+)\.base_layer()\.bias$/, 'base_layer.bias'],
  [/^(.+)\.original_module()\.weight$/, 'original_module.weight'],
  [/^(.+)\.original_module()\.bias$/, 'original_module.bias'],
  [/^(.+)\.token_adapter\.trainable_tokens_delta(?:\.([\w-]+))?$/, 'token_adapter'],
];
const PLAIN_END = /^(.+)\.(weight|bias)$/;
/** The wrapper of modules_to_save, with or without the adapter's name. */
const SAVED = /^(.+)\.modules_to_save(?:\.(.+))?$/;

/** Names that tools give before they write PEFT's, and the way to have PEFT's. */
const FOREIGN: readonly [RegExp, string][] = [
  [
    /(^|\.)layers\.\d+\.(attn|mlp)\..*\.lora_[ab]\.weight$/,
    "torchtune's own: let its FullModelHFCheckpointer save the adapter, which writes PEFT's as well",
  ],
  [
    /\.adapter\.linear_(in|out)\./,
    "Megatron's own (NeMo): export the adapter to Hugging Face's format, which is PEFT's",
  ],
  [/\.lora_(down|up)\.weight$|\.alpha$/, "kohya's, of an image model"],
];

/** Whose the name is where it is none that PEFT writes, and that is known. */
export function foreignName(name: string): string | undefined {
  return FOREIGN.find(([pattern]) => pattern.test(name))?.[1];
}

/** What torch.compile, FSDP and activation checkpointing put between a module and its parent. */
const WRAPPERS = new Set(['_orig_mod', '_fsdp_wrapped_module', '_checkpoint_wrapped_module']);

/** The name without wrappers; DDP's `module.` is one only around the whole model. */
export function withoutWrappers(name: string): string {
  const steps = name.split('.');
  const root = steps.indexOf('base_model');
  const isOuter = (at: number): boolean => at < root || (root >= 0 && at === root + 2);
  return steps.filter((step, at) => !WRAPPERS.has(step) && !(step === 'module' && isOuter(at))).join('.');
}

/** `isModule` tells the base model's modules, to know an adapter's name from a module's. */
export function parseTensorName(name: string, isModule: (name: string) => boolean): TensorName | undefined {
  if (!name.startsWith(PREFIX)) return undefined;
  const rest = name.slice(PREFIX.length);
  for (const [end, part] of ENDS) {
    const match = end.exec(rest);
    if (match?.[1] !== undefined)
      return { module: match[1], part, adapter: match[2] || undefined, isCopy: false };
  }
  const [, module, part] = PLAIN_END.exec(rest) ?? [];
  if (module === undefined || (part !== 'weight' && part !== 'bias')) return undefined;
  return { ...unwrapSaved(module, isModule), part };
}

function unwrapSaved(module: string, isModule: (name: string) => boolean): Omit<TensorName, 'part'> {
  const [, outer, inner] = SAVED.exec(module) ?? [];
  if (outer === undefined) return { module, adapter: undefined, isCopy: false };
  if (inner === undefined) return { module: outer, adapter: undefined, isCopy: true };
  const direct = `${outer}.${inner}`;
  if (isModule(direct)) return { module: direct, adapter: undefined, isCopy: true };
  const [adapter, ...path] = inner.split('.');
  return { module: [outer, ...path].join('.'), adapter, isCopy: true };
}
