import { Text, Tooltip } from '@mantine/core';
import type { ScoredPiece } from '../api/chat-stream';

const probability = (logprob: number): string => `${(Math.exp(logprob) * 100).toFixed(1)} %`;

interface AnswerProps {
  readonly text: string;
  readonly scored?: readonly ScoredPiece[];
  /** From this token on it differs from the one that it is compared with. */
  readonly differsFrom?: number;
}

/** An answer; with log-probabilities each token tells on hover how likely it was, and what else was. */
export function Answer({ text, scored = [], differsFrom }: AnswerProps) {
  if (scored.length === 0) return <Text className="answer">{text}</Text>;
  return (
    <Text className="answer" component="div">
      {scored.map(({ token, logprob, top_logprobs }, index) => (
        <Tooltip
          key={index}
          multiline
          label={
            <>
              <b>{probability(logprob)}</b>
              {top_logprobs.map((other) => (
                <div key={other.token}>
                  {JSON.stringify(other.token)} {probability(other.logprob)}
                </div>
              ))}
            </>
          }
        >
          <span {...(differsFrom !== undefined && index >= differsFrom ? { className: 'differs' } : {})}>
            {token}
          </span>
        </Tooltip>
      ))}
    </Text>
  );
}
