import { Accordion, Alert, Code } from '@mantine/core';
import { IconAlertTriangle, IconCircleCheck, IconCircleX } from '@tabler/icons-react';
import type {
  AdapterProblem,
  AdapterReport,
  AdapterWarning,
  FieldReport,
} from '#contracts/adapter-report.js';
import { Badge, Group, Stack, Text } from '../parts/elements';
import { count } from '../parts/format';

const TREATMENT = { honoured: 'teal', refused: 'red', ignored: 'gray', default: 'gray' } as const;
const SHOWN = 200;

/** What the reader made of an adapter, for a person: first what to change, then everything that was looked at. */
export function Report({ report, state }: { report: AdapterReport; state: string }) {
  const { errors, warnings, fields, tensors, summary } = report;
  return (
    <Stack>
      {errors.length > 0 ? (
        <Alert
          color="red"
          icon={<IconCircleX />}
          title={`Refused: ${count(errors.length)} reason${errors.length === 1 ? '' : 's'}`}
        >
          Change what stands below in the adapter and upload it again; nothing of this version is served.
        </Alert>
      ) : (
        state === 'ready' && (
          <Alert color="teal" icon={<IconCircleCheck />} title="Accepted">
            {count(summary.modules)} modules, {count(summary.parameters)} parameters, ranks{' '}
            {summary.ranks.join(', ') || 'none'}.
          </Alert>
        )
      )}
      {errors.slice(0, SHOWN).map((problem, index) => (
        <Problem key={index} problem={problem} color="red" />
      ))}
      {warnings.slice(0, SHOWN).map((problem, index) => (
        <Problem key={index} problem={problem} color="yellow" />
      ))}
      <Accordion variant="contained" multiple>
        <Accordion.Item value="fields">
          <Accordion.Control>Fields of adapter_config.json ({count(fields.length)})</Accordion.Control>
          <Accordion.Panel>
            <Fields fields={fields} />
          </Accordion.Panel>
        </Accordion.Item>
        <Accordion.Item value="tensors">
          <Accordion.Control>Tensors ({count(tensors.length)})</Accordion.Control>
          <Accordion.Panel>
            <div className="scroll-x" tabIndex={0} role="region" aria-label="Tensors">
              <table className="rows small">
                <tbody>
                  {tensors.slice(0, SHOWN).map(({ name, module, role }) => (
                    <tr key={name}>
                      <td className="mono">{name}</td>
                      <td className="mono">{module}</td>
                      <td>{role}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
            {tensors.length > SHOWN && (
              <Text size="sm" c="dimmed">
                The first {SHOWN} of {count(tensors.length)}; the API gives all.
              </Text>
            )}
          </Accordion.Panel>
        </Accordion.Item>
      </Accordion>
    </Stack>
  );
}

function Problem({ problem, color }: { problem: AdapterProblem | AdapterWarning; color: string }) {
  const details = Object.entries(problem).filter(
    ([name, value]) => !['code', 'message'].includes(name) && value !== undefined,
  );
  return (
    <Alert color={color} variant="outline" icon={<IconAlertTriangle />} title={problem.message}>
      <Group gap="md">
        <Text size="xs">
          <Code>{problem.code}</Code>
        </Text>
        {details.map(([name, value]) => (
          <Text size="xs" key={name}>
            {name} <Code>{String(value)}</Code>
          </Text>
        ))}
      </Group>
    </Alert>
  );
}

function Fields({ fields }: { fields: readonly FieldReport[] }) {
  const order = { refused: 0, honoured: 1, ignored: 2, default: 3 };
  const sorted = [...fields].sort((a, b) => order[a.treatment] - order[b.treatment]);
  return (
    <div className="scroll-x" tabIndex={0} role="region" aria-label="Fields">
      <table className="rows">
        <thead>
          <tr>
            <th>Field</th>
            <th>Treatment</th>
            <th>Value</th>
            <th>Why</th>
          </tr>
        </thead>
        <tbody>
          {sorted.map(({ name, treatment, value, reason }) => (
            <tr key={name}>
              <td className="mono">{name}</td>
              <td>
                <Badge color={TREATMENT[treatment]} variant="light">
                  {treatment}
                </Badge>
              </td>
              <td className="mono">{value === undefined ? '' : JSON.stringify(value).slice(0, 120)}</td>
              <td>{reason ?? ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
