import type { ComposeMethod, Derive, FactorDtype } from '#contracts/derivations-api.js';

export type Operation = Derive['operation'];

export interface DeriveForm {
  /** Of shrink and convert, as `adapter@3`. */
  readonly version: string;
  /** Of compose; the first gives template and generation defaults. */
  readonly inputs: readonly { readonly version: string; readonly weight: number | string }[];
  readonly method: ComposeMethod;
  readonly density: number | string;
  readonly majoritySign: 'total' | 'frequency';
  readonly seed: number | string;
  /** Of the result of svd, or of shrink. */
  readonly rank: number | string;
  /** By which shrink goes: a rank, or a share of the energy. */
  readonly by: 'rank' | 'energy';
  readonly energy: number | string;
  readonly to: string;
  /** Null: as the server has it by default. */
  readonly dtype: FactorDtype | null;
}

export const NO_DERIVATION: DeriveForm = {
  version: '',
  inputs: [],
  method: 'cat',
  density: 0.5,
  majoritySign: 'total',
  seed: '',
  rank: '',
  by: 'rank',
  energy: 0.99,
  to: 'mlx',
  dtype: null,
};

/** What each method reads beside its inputs, as the API has it. */
export const METHODS: Readonly<
  Record<ComposeMethod, { readonly about: string; readonly reads: readonly Reading[] }>
> = {
  cat: { about: 'the sum itself; ranks add up', reads: [] },
  svd: { about: 'the sum, cut to a rank', reads: ['rank'] },
  linear: { about: 'factors added; equal ranks', reads: [] },
  ties: { about: 'small elements dropped, signs elected', reads: ['density', 'majority_sign'] },
  dare_linear: { about: 'elements dropped by chance', reads: ['density', 'seed'] },
  dare_ties: {
    about: 'dropped by chance, signs elected',
    reads: ['density', 'majority_sign', 'seed'],
  },
  magnitude_prune: { about: 'small elements dropped', reads: ['density'] },
};
type Reading = 'rank' | 'density' | 'majority_sign' | 'seed';

/** The version whose adapter gets the new one, unless another is named. */
export const firstInput = (operation: Operation, { version, inputs }: DeriveForm): string =>
  operation === 'compose' ? (inputs[0]?.version ?? '') : version;

/** As the API takes it; what stands empty is left to the server. */
export function deriveBody(operation: Operation, form: DeriveForm): object {
  const dtype = form.dtype === null ? {} : { dtype: form.dtype };
  const version = form.version.trim();
  if (operation === 'convert') return { operation, version, to: form.to, ...dtype };
  if (operation === 'shrink') {
    const by = form.by === 'rank' ? given('rank', form.rank) : given('energy', form.energy);
    return { operation, version, ...by, ...dtype };
  }
  const { method } = form;
  const { reads } = METHODS[method];
  const values: Readonly<Record<Reading, object>> = {
    rank: given('rank', form.rank),
    density: given('density', form.density),
    majority_sign: { majority_sign: form.majoritySign },
    seed: given('seed', form.seed),
  };
  const inputs = form.inputs.map(({ version: input, weight }) => ({
    version: input.trim(),
    ...given('weight', weight),
  }));
  return { operation, method, inputs, ...Object.assign({}, ...reads.map((each) => values[each])), ...dtype };
}

const given = (name: string, value: number | string): object =>
  value === '' ? {} : { [name]: Number(value) };
