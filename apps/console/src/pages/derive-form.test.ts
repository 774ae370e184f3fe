import { expect, it } from 'vitest';
import { COMPOSE_METHODS, DeriveSchema } from '#contracts/derivations-api.js';
import { deriveBody, firstInput, METHODS, NO_DERIVATION } from './derive-form';

const form = {
  ...NO_DERIVATION,
  version: ' bot@3 ',
  inputs: [
    { version: 'bot@3', weight: 0.7 },
    { version: 'tone@1', weight: '' },
  ],
  rank: 8,
  seed: 7,
} as const;

it('gives each method what it reads, and nothing else, so that the API takes it', () => {
  for (const method of COMPOSE_METHODS) {
    const body = deriveBody('compose', { ...form, method });
    expect(DeriveSchema.safeParse(body)).toMatchObject({ success: true });
  }
  expect(Object.keys(METHODS).toSorted()).toEqual([...COMPOSE_METHODS].toSorted());
  expect(deriveBody('compose', { ...form, method: 'dare_ties' })).toEqual({
    operation: 'compose',
    method: 'dare_ties',
    inputs: [{ version: 'bot@3', weight: 0.7 }, { version: 'tone@1' }],
    density: 0.5,
    majority_sign: 'total',
    seed: 7,
  });
});

it('shrinks by a rank or by energy, and converts', () => {
  expect(deriveBody('shrink', form)).toEqual({ operation: 'shrink', version: 'bot@3', rank: 8 });
  const byEnergy = deriveBody('shrink', { ...form, by: 'energy', dtype: 'bf16' });
  expect(byEnergy).toEqual({ operation: 'shrink', version: 'bot@3', energy: 0.99, dtype: 'bf16' });
  expect(DeriveSchema.safeParse(byEnergy).success).toBe(true);
  const converted = deriveBody('convert', { ...form, to: 'gguf' });
  expect(converted).toEqual({ operation: 'convert', version: 'bot@3', to: 'gguf' });
  expect(DeriveSchema.safeParse(converted).success).toBe(true);
});

it('names the adapter of its first version', () => {
  expect([firstInput('compose', form), firstInput('shrink', form)]).toEqual(['bot@3', ' bot@3 ']);
  expect(firstInput('compose', NO_DERIVATION)).toBe('');
});
