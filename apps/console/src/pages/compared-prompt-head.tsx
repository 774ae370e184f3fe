import { ActionIcon } from '@mantine/core';
import { IconTrash } from '@tabler/icons-react';
import type { EvaluationCase } from '#contracts/promotion.js';
import { type ComparedPrompt, editable, edited, type Expectation, NO_EXPECTATION } from './compared-prompts';
import { Group, Text } from '../parts/elements';
import { Choice, GrowingText, TextField } from '../parts/fields';

const MATCHES = [
  { value: 'exact', label: 'is exactly' },
  { value: 'contains', label: 'contains' },
  { value: 'regex', label: 'matches the pattern' },
];

interface HeadProps {
  readonly prompt: ComparedPrompt;
  /** Of a saved set, whose prompts are changed here; absent: they are typed above, one a line. */
  readonly edit?: { readonly change: (to: ComparedPrompt) => void; readonly remove: () => void };
  readonly onExpect: (expectation: Expectation) => void;
}

/** The prompt, and what is expected of its answers. */
export function ComparedPromptHead({ prompt, edit, onExpect }: HeadProps) {
  return (
    <>
      {edit ? (
        <EditedPrompt prompt={prompt} {...edit} />
      ) : (
        <Text fw={600} mb={4} className="answer">
          {prompt.text}
        </Text>
      )}
      <Expected prompt={prompt} onChange={onExpect} />
    </>
  );
}

function EditedPrompt({
  prompt,
  change,
  remove,
}: { prompt: ComparedPrompt } & NonNullable<HeadProps['edit']>) {
  const before = prompt.messages.slice(0, -1);
  return (
    <>
      {prompt.plain === undefined &&
        before.map(({ role, content }, index) => (
          <Text size="sm" c="dimmed" className="answer" key={index}>
            {role}: {content}
          </Text>
        ))}
      <Group gap="xs" mb="xs" wrap="nowrap" align="flex-start">
        <GrowingText
          aria-label={`Prompt ${Number(prompt.key) + 1}`}
          placeholder="Prompt"
          minRows={1}
          maxRows={8}
          flex={1}
          value={editable(prompt)}
          onChange={(event) => change(edited(prompt, event.currentTarget.value))}
        />
        <ActionIcon
          variant="subtle"
          color="red"
          size="lg"
          title="Remove this prompt"
          aria-label="Remove this prompt"
          onClick={remove}
        >
          <IconTrash size={16} />
        </ActionIcon>
      </Group>
    </>
  );
}

function Expected({ prompt, onChange }: { prompt: ComparedPrompt; onChange: (to: Expectation) => void }) {
  const { expected, match, text } = prompt;
  return (
    <Group gap="xs" mb="xs" wrap="nowrap">
      <Choice
        aria-label={`How the answer to ${text} is judged`}
        size="xs"
        w={160}
        data={MATCHES}
        value={match}
        onChange={(value) =>
          onChange({ expected, match: (value ?? NO_EXPECTATION.match) as EvaluationCase['match'] })
        }
      />
      <TextField
        aria-label={`Expected of ${text}`}
        placeholder="expected answer (not scored without one)"
        size="xs"
        flex={1}
        value={expected}
        onChange={(event) => onChange({ expected: event.currentTarget.value, match })}
      />
    </Group>
  );
}
