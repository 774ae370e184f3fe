import type { ReactNode } from 'react';
import { Paper } from './elements';

interface FactsProps {
  readonly label: string;
  readonly facts: readonly (readonly [name: string, value: ReactNode])[];
  /** Below them. */
  readonly children?: ReactNode;
}

/** Names and what stands for them. */
export function Facts({ label, facts, children }: FactsProps) {
  return (
    <Paper p="md">
      <div className="scroll-x" tabIndex={0} role="region" aria-label={label}>
        <table className="rows">
          <tbody>
            {facts.map(([name, value]) => (
              <tr key={name}>
                <th style={{ width: 180 }}>{name}</th>
                <td>{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {children}
    </Paper>
  );
}
