import { describe, expect, it } from 'vitest';
import { parseComposition } from './model-composition.js';

describe('the adapters that a model adds up', () => {
  it('are those between its plus signs, with their weights', () => {
    expect(parseComposition('a+b')).toEqual([
      { model: 'a', weight: 1 },
      { model: 'b', weight: 1 },
    ]);
    expect(parseComposition('acme/a@3*0.7+b:staging*-0.25+c-1.x_y')).toEqual([
      { model: 'acme/a@3', weight: 0.7 },
      { model: 'b:staging', weight: -0.25 },
      { model: 'c-1.x_y', weight: 1 },
    ]);
    expect(parseComposition('a*10')).toEqual([{ model: 'a', weight: 10 }]);
  });

  it.each(['a', 'a@3', 'acme/a:b', 'a-b_c.d', ''])('are none where there is no sign: %s', (model) => {
    expect(parseComposition(model)).toBeUndefined();
  });

  it.each([
    '+',
    'a+',
    '+a',
    'a++b',
    'a*',
    '*2',
    'a*b',
    'a*1e3',
    'a*.5',
    'a*0.5*2',
    'a*+1',
    'a*NaN',
    'a*1.',
    'a*0,5',
  ])('are refused where the form is another: %s', (model) => {
    expect(() => parseComposition(model)).toThrow(
      /^model: expected adapters as a\+b or a\*0\.7\+b\*0\.3, got "/,
    );
  });

  it('are four at most, and their weights within bounds', () => {
    expect(parseComposition('a+b+c+d')).toHaveLength(4);
    expect(() => parseComposition('a+b+c+d+e')).toThrow('model: expected at most 4 adapters, got 5');
    expect(() => parseComposition('a*10.5+b')).toThrow('model: expected weights from -10 to 10, got 10.5');
    expect(() => parseComposition('a*-999')).toThrow('model: expected weights from -10 to 10, got -999');
  });
});
