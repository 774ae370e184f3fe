const EXAMPLE =
  '[{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}]';

/** The tools of a chat, as OpenAI has them. */
export function Tools({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  return (
    <GrowingText
      label="Tools"
      description="JSON, as OpenAI has them: an array of functions with the schemas of their parameters"
      placeholder={EXAMPLE}
      minRows={2}
      maxRows={12}
      mt="xs"
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  );
}
import { GrowingText } from './fields';
