import type { AdapterProblem } from '#contracts/adapter-report.js';
import type { BaseModel } from '#contracts/base-model.js';
import type { Parity } from '#contracts/parity.js';

/** Largest base model for which PARITY_CHECK=auto means on: the check holds it once more, in float32. */
const AUTO_PARAMETERS = 50_000_000;

export function wantsParity(
  setting: 'auto' | 'on' | 'off',
  base: Pick<BaseModel, 'modules' | 'experts' | 'tieWordEmbeddings'>,
): boolean {
  return setting === 'on' || (setting === 'auto' && parametersOf(base) <= AUTO_PARAMETERS);
}

/** A tied head is the embedding. */
function parametersOf({
  modules,
  experts = [],
  tieWordEmbeddings,
}: Pick<BaseModel, 'modules' | 'experts' | 'tieWordEmbeddings'>): number {
  const own = modules.filter(({ name }) => !(tieWordEmbeddings && name === 'lm_head'));
  const ofExperts = experts.reduce((sum, { count, hidden, width }) => sum + 3 * count * hidden * width, 0);
  return own.reduce(
    (sum, module) => sum + module.out * module.in + (module.bias ? module.out : 0),
    ofExperts,
  );
}

export function parityProblem(parity: Parity): AdapterProblem {
  const { max_abs_diff, mean_abs_diff, tolerance, token_agreement, tokens, failure, path } = parity;
  const found =
    max_abs_diff === null || mean_abs_diff === null
      ? (failure ?? 'no finite number')
      : `${max_abs_diff.toPrecision(3)}, on average ${mean_abs_diff.toPrecision(3)}`;
  const agreement = `the likeliest token is the same at ${(100 * token_agreement).toFixed(1)} % of ${tokens} positions`;
  return {
    code: 'parity_failed',
    message: `The parity check failed (${path}): log-probabilities differ: ${found}; ${agreement}.`,
    expected: `at most ${tolerance.max_abs_diff}, on average ${tolerance.mean_abs_diff}`,
    found,
  };
}
