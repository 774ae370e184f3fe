import type { Derivation as DerivationResource, DerivationResult } from '#contracts/derivations-api.js';
import { versionOf } from '../api/versions';
import { Group, Paper, SimpleGrid, Text, Title } from '../parts/elements';
import { Figure } from '../parts/figure';
import { percent } from '../parts/format';
import { VersionLink } from '../parts/version-link';

const WORDS = {
  compose: 'Composed by the server',
  shrink: 'Shrunk by the server',
  convert: 'Converted by the server',
} as const;

/** How a version was computed from others, and what that lost. */
export function Derivation({ derivation }: { derivation: DerivationResource }) {
  const { operation, inputs, parameters, result } = derivation;
  return (
    <Paper p="md" component="section" aria-label="Derivation">
      <Title order={2} size="h5" mb="xs">
        {WORDS[operation]}
      </Title>
      <Group gap="md" mb="xs">
        {inputs.map(({ id, version, weight }) => (
          <Text size="sm" key={id} span>
            {weight !== null && `${weight} × `}
            <Input version={version} />
          </Text>
        ))}
        {Object.entries(parameters).map(([name, value]) => (
          <Text size="sm" key={name} span>
            {name} <b>{String(value)}</b>
          </Text>
        ))}
      </Group>
      {result === null ? (
        <Text size="sm" c="dimmed">
          It is not computed yet.
        </Text>
      ) : (
        <Result result={result} />
      )}
    </Paper>
  );
}

function Input({ version }: { version: string }) {
  const named = versionOf(version);
  return named ? <VersionLink adapter={named.adapter} version={named.version} /> : <>{version}</>;
}

/** A share that may be far below one percent. */
const lossOf = (error: number | null): string =>
  error === null ? '–' : error > 0 && error < 0.001 ? `${(error * 100).toExponential(1)} %` : percent(error);

function Result({ result: { rank, relative_error, modules } }: { result: DerivationResult }) {
  return (
    <>
      <SimpleGrid cols={{ base: 2, md: 4 }}>
        <Figure label="Rank of the result" value={rank} />
        <Figure
          label="Lost"
          value={lossOf(relative_error)}
          note={relative_error === null ? 'this method means another sum' : 'of the norm of the exact deltas'}
        />
      </SimpleGrid>
      {modules.length > 0 && (
        <details>
          <summary>By modules ({modules.length})</summary>
          <div className="scroll-x" tabIndex={0} role="region" aria-label="Loss by modules">
            <table className="rows small">
              <thead>
                <tr>
                  <th>Module</th>
                  <th className="numbers">Rank</th>
                  <th className="numbers">Lost</th>
                </tr>
              </thead>
              <tbody>
                {modules.map(({ module, rank: each, relative_error: error }) => (
                  <tr key={module}>
                    <td className="mono">{module}</td>
                    <td className="numbers">{each}</td>
                    <td className="numbers">{lossOf(error)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </details>
      )}
    </>
  );
}
