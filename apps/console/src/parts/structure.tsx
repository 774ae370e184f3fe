import { Stack } from './elements';
import { Choice, GrowingText } from './fields';
import { STRUCTURES, type Structure } from './structure-body';

const FORMS: Partial<Record<Structure['kind'], { label: string; description: string; example: string }>> = {
  json_schema: {
    label: 'Schema',
    description: 'JSON Schema; what cannot be kept to the letter is refused by name',
    example: '{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
  },
  choice: { label: 'Texts', description: 'One a line', example: 'billing\nshipping' },
  regex: { label: 'Pattern', description: 'The whole answer matches it', example: '\\d{4}-\\d{2}-\\d{2}' },
  grammar: { label: 'Grammar', description: 'EBNF; it begins with root', example: 'root ::= "yes" | "no"' },
};

/** What the answer is held to, token by token. */
export function StructureForm({
  value,
  onChange,
}: {
  value: Structure;
  onChange: (value: Structure) => void;
}) {
  const form = FORMS[value.kind];
  return (
    <Stack gap="xs" mt="xs">
      <Choice
        label="Answer"
        data={STRUCTURES}
        value={value.kind}
        w={300}
        onChange={(kind) => onChange({ kind: kind as Structure['kind'], text: '' })}
      />
      {form && (
        <GrowingText
          label={form.label}
          description={form.description}
          placeholder={form.example}
          minRows={2}
          maxRows={12}
          monospace
          value={value.text}
          onChange={(event) => onChange({ ...value, text: event.currentTarget.value })}
        />
      )}
    </Stack>
  );
}
