export interface DenseTensor {
  readonly module: string;
  readonly part: 'a' | 'b' | 'loraBias' | 'magnitude' | 'weight' | 'bias' | 'rows' | 'original' | 'copy';
}

/** What stands in the name behind the module decides; the adapter's own name may stand in between. */
const MARKS: readonly [string, DenseTensor['part']][] = [
  ['lora_embedding_A', 'a'],
  ['lora_embedding_B', 'b'],
  ['lora_A', 'a'],
  ['lora_B', 'b'],
  ['lora_magnitude_vector', 'magnitude'],
  ['trainable_tokens_delta', 'rows'],
];

const TRAINING_WRAPPERS = new Set(['_orig_mod', '_fsdp_wrapped_module', '_checkpoint_wrapped_module']);

/** What a tensor's name says. Throws for one that peft/ should have refused. */
export function denseTensor(name: string, modules: ReadonlySet<string>): DenseTensor {
  const steps = name.split('.').filter((step) => !TRAINING_WRAPPERS.has(step));
  const inner = steps.slice(steps.indexOf('model') + 1); // base_model.model.
  const path = inner[0] === 'module' ? inner.slice(1) : inner;
  const bias = path.at(-1) === 'bias';
  for (const [mark, part] of MARKS) {
    const at = path.indexOf(mark);
    if (at > 0) return { module: moduleOf(path.slice(0, at), name, modules), part: bias ? 'loraBias' : part };
  }
  const module = moduleOf(path.slice(0, -1), name, modules);
  if (path.includes('original_module')) return { module, part: 'original' };
  if (bias) return { module, part: 'bias' };
  return { module, part: path.includes('modules_to_save') ? 'copy' : 'weight' };
}

const WRAPPERS = new Set(['base_layer', 'token_adapter', 'modules_to_save', 'original_module']);

/** The module's path once PEFT's wrappers, and the adapter's name behind one of them, are taken out. */
function moduleOf(path: readonly string[], name: string, modules: ReadonlySet<string>): string {
  const plain = path.filter((step) => !WRAPPERS.has(step));
  const wrapped = path.indexOf('modules_to_save');
  const unnamed = wrapped < 0 ? plain : plain.toSpliced(wrapped, 1);
  const module = [plain, unnamed].map((steps) => steps.join('.')).find((found) => modules.has(found));
  if (module === undefined) throw new Error(`no module of the base is named by the tensor ${name}`);
  return module;
}
