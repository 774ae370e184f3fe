import { describe, expect, it } from 'vitest';
import { lengthFields, samplingControls, samplingFields } from '#contracts/openai/generation-fields.js';

describe('the sampling fields as controls of a form', () => {
  const controls = samplingControls();
  const of = (name: string) => controls.find((control) => control.name === name);

  it('are all that the API takes, each of a kind that a form can ask for', () => {
    const fields = Object.keys({ ...samplingFields, ...lengthFields });
    expect(controls.map(({ name }) => name)).toEqual(fields);
    expect(of('temperature')).toMatchObject({ kind: 'number', min: 0, max: 2 });
    expect(of('top_k')).toMatchObject({ kind: 'integer', min: -1 });
    expect(of('seed')).toEqual(expect.objectContaining({ kind: 'integer' }));
    expect(of('ignore_eos')?.kind).toBe('boolean');
    expect(of('stop')?.kind).toBe('texts');
    expect(of('stop_token_ids')?.kind).toBe('integers');
    expect(of('logit_bias')?.kind).toBe('biases');
  });

  it('have no bound that a double does not hold', () => {
    for (const { min = 0, max = 0 } of controls) expect([min, max].every(Number.isFinite)).toBe(true);
    expect(of('seed')).not.toHaveProperty('max');
  });
});
