import { describe, expect, it } from 'vitest';
import type { AdapterManifest, GenerationDefaults } from '#contracts/adapter-manifest.js';
import { DEFAULTED_FIELDS } from '#contracts/engine-protocol.js';
import { generateRequest } from '../../../../test/support/generate-request.js';
import { withGenerationDefaults } from './generation-defaults.js';

const manifest = (generation: GenerationDefaults) => ({ generation }) as AdapterManifest;
const defaults = { temperature: 0.3, topP: 0.8, topK: 20, repetitionPenalty: 1.1, maxTokens: 64 };

describe("an adapter's generation defaults", () => {
  it('stand where the request says nothing', () => {
    const request = { ...generateRequest({ kind: 'tokens', tokens: [1] }), defaulted: [...DEFAULTED_FIELDS] };
    expect(withGenerationDefaults(request, manifest(defaults))).toMatchObject({
      maxTokens: 64,
      sampling: {
        temperature: 0.3,
        topP: 0.8,
        topK: 20,
        repetitionPenalty: 1.1,
        minP: request.sampling.minP,
      },
    });
  });

  it('give way to what the request says', () => {
    const request = {
      ...generateRequest({ kind: 'tokens', tokens: [1] }),
      maxTokens: 5,
      defaulted: ['topP' as const],
    };
    expect(withGenerationDefaults(request, manifest(defaults))).toMatchObject({
      maxTokens: 5,
      sampling: { ...request.sampling, topP: 0.8 },
    });
  });

  it('leave a request alone whose sender knows of no defaults, and one without adapter', () => {
    const request = generateRequest({ kind: 'tokens', tokens: [1] });
    expect(withGenerationDefaults(request, manifest(defaults))).toBe(request);
    expect(withGenerationDefaults({ ...request, defaulted: ['topP'] }, undefined).sampling).toBe(
      request.sampling,
    );
  });
});
