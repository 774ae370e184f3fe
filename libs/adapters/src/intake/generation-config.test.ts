import { describe, expect, it } from 'vitest';
import { readGenerationConfig } from './generation-config.js';

const read = (fields: object) => readGenerationConfig(JSON.stringify(fields), 2_000);

describe("an adapter's generation_config.json", () => {
  it('says which tokens end an answer, and how to sample where a request does not say', () => {
    const fields = {
      bos_token_id: 0,
      eos_token_id: [1551, 2, 2],
      temperature: 0.7,
      top_p: 0.8,
      top_k: 20,
      min_p: 0.05,
      repetition_penalty: 1.1,
      max_new_tokens: 300,
      transformers_version: '5.0',
    };
    expect(read(fields)).toEqual({
      generation: {
        eosTokenIds: [2, 1551],
        temperature: 0.7,
        topP: 0.8,
        topK: 20,
        minP: 0.05,
        repetitionPenalty: 1.1,
        maxTokens: 300,
      },
      errors: [],
      warnings: [],
    });
  });

  it('is greedy where do_sample is false, whatever it says of sampling', () => {
    expect(read({ do_sample: false, temperature: 0.1, top_p: 0.5 }).generation).toEqual({ temperature: 0 });
  });

  it('says nothing where it holds what is so anyway', () => {
    const idle = { top_p: 1, top_k: 0, min_p: 0, repetition_penalty: 1, eos_token_id: null, pad_token_id: 2 };
    expect(read(idle)).toEqual({ generation: undefined, errors: [], warnings: [] });
  });

  it('names ways of decoding that are not built', () => {
    const { warnings } = read({
      num_beams: 4,
      no_repeat_ngram_size: 3,
      num_beam_groups: 1,
      bad_words_ids: [],
    });
    expect(warnings).toMatchObject([
      {
        code: 'generation_field_ignored',
        message: expect.stringContaining('num_beams, no_repeat_ngram_size have'),
      },
    ]);
  });

  it.each([
    ['a token beyond the vocabulary', '{"eos_token_id": 2000}'],
    ['a token that is none', '{"eos_token_id": -1}'],
    ['a top_p of 0', '{"top_p": 0}'],
    ['text for a number', '{"temperature": "0.7"}'],
    ['a list', '[]'],
    ['no JSON', '{'],
    ['NaN', '{"temperature": NaN}'],
  ])('is refused for %s', (_, text) => {
    expect(readGenerationConfig(text, 2_000).errors.map(({ code }) => code)).toContain(
      'generation_config_invalid',
    );
  });
});
