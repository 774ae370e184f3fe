import { expect, it } from 'vitest';
import { runFaults } from '../../scripts/faults/run.mjs';

/* The short form of scripts/faults.mjs; docs/operations.md has the outcomes of the long one. */

it('loses nothing, shows nothing half and counts nothing twice while every part is killed and frozen', async () => {
  const said: string[] = [];
  const report = await runFaults({
    seed: 7,
    uploads: 10,
    kills: 5,
    clients: 2,
    outage_s: 3,
    say: (line) => said.push(line),
  });
  const wrong = report.findings.filter(({ ok }) => !ok);
  expect({ faults: report.faults, wrong, said }).toEqual({ faults: [], wrong: [], said });
  expect(report.kills.length).toBeGreaterThanOrEqual(4);
});
