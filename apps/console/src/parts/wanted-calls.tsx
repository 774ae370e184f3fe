import type { StreamedAnswer } from '../api/chat-stream';
import { Paper, Text } from './elements';
import { Shell } from './shell';

/** What a chat's answer holds beside its text: what the model thought, and which tools it wants called. */
export function WantedCalls({ reasoning, calls }: Pick<StreamedAnswer, 'reasoning' | 'calls'>) {
  if (reasoning === '' && calls.length === 0) return null;
  return (
    <Paper p="sm" component="section" aria-label="Reasoning and tools">
      {reasoning !== '' && (
        <Text size="sm" c="dimmed" className="answer">
          {reasoning}
        </Text>
      )}
      {calls.map(({ name, arguments: given }, index) => (
        <div key={index}>
          <Text size="xs" fw={600} mt="xs">
            Wants {name} called with
          </Text>
          <Shell text={given} />
        </div>
      ))}
    </Paper>
  );
}
