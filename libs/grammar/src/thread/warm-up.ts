import { wishGrammar } from '../wish-grammar.js';

/** As many at most, until so many in a row are hardly quicker than the quickest before. */
const GRAMMARS = 24;
const SETTLED = 4;
const QUICKER = 0.9;

/**
 * Compiles grammars that nobody asked for, one after another: WebAssembly runs slowly until what is run often was optimized, so
 * the first grammar of a process takes ten times as long as the fiftieth.
 */
export async function warmUp(tryOut: (grammar: string) => Promise<void>): Promise<void> {
  let best_ms = Number.POSITIVE_INFINITY;
  for (let n = 0, settled = 0; n < GRAMMARS && settled < SETTLED; n++) {
    const began_ms = performance.now();
    await tryOut(wishGrammar({ kind: 'json_schema', schema: schemaOf(n) }));
    const took_ms = performance.now() - began_ms;
    settled = took_ms < QUICKER * best_ms ? 0 : settled + 1;
    best_ms = Math.min(best_ms, took_ms);
  }
}

/** Another one for each number, of what schemas have most. */
const schemaOf = (n: number) => ({
  type: 'object',
  properties: {
    id: { type: 'integer', minimum: 0, maximum: 1_000 + n },
    name: { type: 'string', maxLength: 20 + n },
    kind: { enum: ['one', 'two', `${n}`] },
    date: { type: 'string', format: 'date' },
    tags: { type: 'array', items: { type: 'string' } },
    place: { type: 'object', properties: { x: { type: 'number' }, y: { type: 'number' } } },
    more: { anyOf: [{ type: 'boolean' }, { type: 'null' }, { type: 'object' }] },
  },
  required: ['id', 'name', 'kind', 'tags'],
  additionalProperties: false,
});
