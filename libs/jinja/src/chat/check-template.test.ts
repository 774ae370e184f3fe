import { describe, expect, it } from 'vitest';
import { checkTemplate } from './check-template.js';

const LOOP =
  '{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}';

describe('a chat template when it is uploaded', () => {
  it('is taken when it renders a plain chat', async () => {
    expect(await checkTemplate('{{ bos_token + messages[0].content }}')).toBeUndefined();
  });

  it.each([
    ['that lacks an end tag', '{% for m in messages %}{{ m.content }}', 'invalid', /endfor/],
    ['with a filter that does not exist', '{{ messages | nope }}', 'invalid', /nope/],
    ['that is empty', ' \n', 'unusable', /empty/],
    ['that renders nothing', '{% if false %}x{% endif %}', 'unusable', /nothing/],
    ['that fails on one user message', '{{ messages[1].content }}', 'unusable', /undefined|no element/],
    ['that refuses one user message', "{{ raise_exception('two, please') }}", 'unusable', /two, please/],
    ['that does not end', LOOP, 'unusable', /did not end within 2000 ms/],
    [
      'that fills the memory',
      "{% set ns = namespace(l=['x'] * 1000) %}{% for i in range(99999) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ ns.l }}",
      'unusable',
      /too much memory|too large|did not end/,
    ],
  ])('is refused %s', async (_, source, kind, message) => {
    expect(await checkTemplate(source)).toMatchObject({
      kind,
      message: expect.stringMatching(message) as string,
    });
  });
});
