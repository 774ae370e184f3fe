import { z } from 'zod';
import { ADAPTER_FORMS, COMPOSE_METHODS, FACTOR_DTYPES } from '#contracts/derivations-api.js';

/** What is computed, with nothing left open. */
export const RecipeSchema = z.discriminatedUnion('operation', [
  z.object({
    operation: z.literal('compose'),
    method: z.enum(COMPOSE_METHODS),
    density: z.number().optional(),
    majority_sign: z.enum(['total', 'frequency']).optional(),
    seed: z.int().optional(),
    rank: z.int().optional(),
    dtype: z.enum(FACTOR_DTYPES),
  }),
  z.object({
    operation: z.literal('shrink'),
    rank: z.int().optional(),
    energy: z.number().optional(),
    dtype: z.enum(FACTOR_DTYPES).optional(),
  }),
  z.object({
    operation: z.literal('convert'),
    to: z.enum(ADAPTER_FORMS),
    dtype: z.enum(FACTOR_DTYPES).optional(),
  }),
]);
export type Recipe = z.infer<typeof RecipeSchema>;
export type ComposeRecipe = Recipe & { operation: 'compose' };
export type ConvertRecipe = Recipe & { operation: 'convert' };
export type ShrinkRecipe = Recipe & { operation: 'shrink' };

/** A version that others are made from, as it was when that was asked for. */
export const DerivationInputSchema = z.object({
  id: z.string(),
  /** `adapter@3` */
  name: z.string(),
  /** Of its manifest for the base that all inputs have. */
  digest: z.string(),
  weight: z.number(),
});
export type DerivationInput = z.infer<typeof DerivationInputSchema>;
