import type { ScoredPiece } from '../api/chat-stream';
import { Text } from './elements';
import { Hint } from './hint';

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
  // What ends an answer, such as <|end|>, has a probability, and is no part of the text.
  let written = 0;
  const ends = scored.map(({ token }) => {
    const beyond = written >= text.length;
    written += token.length;
    return beyond;
  });
  return (
    <Text className="answer" component="div">
      {scored.map((piece, index) => (
        <Hint key={index} label={() => <Likely piece={piece} />}>
          <span
            className={classOf({ ends: ends[index] === true, differs: index >= (differsFrom ?? Infinity) })}
          >
            {piece.token}
          </span>
        </Hint>
      ))}
    </Text>
  );
}

function Likely({ piece: { logprob, top_logprobs } }: { piece: ScoredPiece }) {
  return (
    <>
      <b>{probability(logprob)}</b>
      {top_logprobs.map((other) => (
        <div key={other.token}>
          {JSON.stringify(other.token)} {probability(other.logprob)}
        </div>
      ))}
    </>
  );
}

const classOf = ({ ends, differs }: { ends: boolean; differs: boolean }): string =>
  [ends && 'ends', differs && 'differs'].filter(Boolean).join(' ');
