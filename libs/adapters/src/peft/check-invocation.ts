import type { ManifestModule } from '#contracts/adapter-manifest.js';
import type { AdapterErrorCode, AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { HonouredFields } from './fields.js';

const FIELD = 'alora_invocation_tokens';

/** Whether an activated LoRA can be invoked on this base, and leaves what comes before its invocation to the base alone. */
export function checkInvocation(
  { alora_invocation_tokens: tokens }: HonouredFields,
  base: BaseModel,
  modules: readonly ManifestModule[],
): AdapterProblem[] {
  if (tokens.length === 0) return [];
  const problems: AdapterProblem[] = [];
  const outside = tokens.find((token) => token >= base.vocabSize);
  if (outside !== undefined) {
    const message = `${outside} is outside the base model's vocabulary of ${base.vocabSize} tokens.`;
    problems.push(problem('token_index_invalid', message));
  }
  if (tokens.length >= base.maxContext) {
    const message = `${tokens.length} tokens leave no room in the base model's context of ${base.maxContext}.`;
    problems.push(problem('config_field_value', message));
  }
  for (const change of modules) {
    const what = actsBefore(change, base);
    if (what === undefined) continue;
    const message = `the adapter ${what} (${change.module}), which would change the tokens before its invocation too.`;
    problems.push({ ...problem('config_conflict', message), module: change.module });
  }
  return problems;
}

/** PEFT keeps all but low-rank deltas of linear layers switched on, and refuses those of embeddings. */
function actsBefore(
  { module, weight, bias, tokenRows, lora }: ManifestModule,
  base: BaseModel,
): string | undefined {
  if (weight !== undefined) return 'replaces whole weights';
  if (bias !== undefined) return 'replaces biases';
  if (tokenRows !== undefined) return 'replaces rows of tokens';
  const isEmbedding = base.modules.some(({ name, kind }) => name === module && kind === 'embedding');
  return lora !== undefined && isEmbedding ? 'targets an embedding' : undefined;
}

function problem(code: AdapterErrorCode, message: string): AdapterProblem {
  return { code, field: FIELD, message: `${FIELD}: ${message}` };
}
