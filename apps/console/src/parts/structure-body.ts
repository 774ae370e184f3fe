/** What an answer may be held to, in the order of the form. */
export const STRUCTURES = [
  { value: 'text', label: 'Any text' },
  { value: 'json_object', label: 'A JSON object' },
  { value: 'json_schema', label: 'JSON of a schema' },
  { value: 'choice', label: 'One of some texts' },
  { value: 'regex', label: 'Text of a pattern' },
  { value: 'grammar', label: 'Text of a grammar' },
] as const;

export interface Structure {
  readonly kind: (typeof STRUCTURES)[number]['value'];
  /** The schema, the texts (one a line), the pattern or the grammar. */
  readonly text: string;
}

export const NO_STRUCTURE: Structure = { kind: 'text', text: '' };

/** As the API takes it: OpenAI's field where OpenAI has one, else vLLM's. */
export function structureBody({ kind, text }: Structure): Record<string, unknown> {
  switch (kind) {
    case 'text':
      return {};
    case 'json_object':
      return { response_format: { type: 'json_object' } };
    case 'json_schema':
      return {
        response_format: {
          type: 'json_schema',
          json_schema: { name: 'answer', strict: true, schema: schemaOf(text) },
        },
      };
    case 'choice':
      return { structured_outputs: { choice: text.split('\n').filter((line) => line !== '') } };
    case 'regex':
    case 'grammar':
      return { structured_outputs: { [kind]: text } };
  }
}

/** What is no JSON goes as it is: the API says what it expects. */
function schemaOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
