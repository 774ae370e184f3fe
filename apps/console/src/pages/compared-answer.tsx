import { ActionIcon } from '@mantine/core';
import { IconThumbDown, IconThumbUp } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import type { ScoredPiece, StreamedAnswer } from '../api/chat-stream';
import { Answer } from '../parts/answer';
import { Button } from '../parts/button';
import { Badge, Group, Paper, Text } from '../parts/elements';
import { ErrorNote } from '../parts/error-note';
import { count, milliseconds } from '../parts/format';

export type Cell = StreamedAnswer & { readonly error?: unknown };

interface ComparedAnswerProps {
  readonly model: string;
  readonly cell: Cell | undefined;
  /** Of the first model; undefined for itself. */
  readonly first: Cell | undefined;
  /** By the rule or by hand; undefined: nobody has judged it. */
  readonly passed: boolean | undefined;
  readonly onJudge: (passed: boolean | undefined) => void;
  readonly onExpect: (answer: string) => void;
}

export function ComparedAnswer({ model, cell, first, passed, onJudge, onExpect }: ComparedAnswerProps) {
  if (!cell) return null;
  const differs = first?.scored.length ? firstDifference(cell.scored, first.scored) : undefined;
  const whole = cell.total_ms !== undefined;
  return (
    <Paper p="sm">
      <Group justify="space-between" mb={4}>
        <Text size="sm" fw={600}>
          {model}
        </Text>
        <Text size="xs" c="dimmed">
          {count(cell.usage?.completion_tokens)} tokens, first {milliseconds(cell.ttft_ms)}, all{' '}
          {milliseconds(cell.total_ms)}
        </Text>
      </Group>
      {cell.error !== undefined && <ErrorNote error={cell.error} />}
      <Answer
        text={cell.text}
        scored={cell.scored}
        {...(differs === undefined ? {} : { differsFrom: differs })}
      />
      {first && whole && differs === undefined && (
        <Text size="xs" c="dimmed" mt={4}>
          The same tokens as the first model.
        </Text>
      )}
      {whole && (
        <Group gap={4} mt="xs">
          {passed !== undefined && (
            <Badge variant="light" color={passed ? 'green' : 'red'}>
              {passed ? 'right' : 'wrong'}
            </Badge>
          )}
          <Judge label="Right" on={passed === true} judge={() => onJudge(passed === true ? undefined : true)}>
            <IconThumbUp size={14} />
          </Judge>
          <Judge
            label="Wrong"
            on={passed === false}
            judge={() => onJudge(passed === false ? undefined : false)}
          >
            <IconThumbDown size={14} />
          </Judge>
          <Button size="compact-xs" variant="subtle" onClick={() => onExpect(cell.text.trim())}>
            Expect this
          </Button>
        </Group>
      )}
    </Paper>
  );
}

interface JudgeProps {
  readonly label: string;
  readonly on: boolean;
  readonly judge: () => void;
  readonly children: ReactNode;
}

function Judge({ label, on, judge, children }: JudgeProps) {
  return (
    <ActionIcon
      size="sm"
      variant={on ? 'filled' : 'default'}
      title={label}
      aria-label={label}
      aria-pressed={on}
      onClick={judge}
    >
      {children}
    </ActionIcon>
  );
}

/** The first position at which the two do not hold the same token. */
function firstDifference(a: readonly ScoredPiece[], b: readonly ScoredPiece[]): number | undefined {
  const length = Math.max(a.length, b.length);
  for (let index = 0; index < length; index++) if (a[index]?.token !== b[index]?.token) return index;
  return undefined;
}
