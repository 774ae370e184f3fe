// `node scripts/faults.mjs`: kills and freezes every part of the product under load, and checks what is left
// (docs/operations.md has the outcomes).
import { parseArgs } from 'node:util';
import { runFaults } from './faults/run.mjs';
import { say } from './lib/print.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    uploads: { type: 'string', default: '200' },
    kills: { type: 'string', default: '25' },
    clients: { type: 'string', default: '4' },
    'outage-s': { type: 'string', default: '60' },
    keep: { type: 'boolean', default: false },
  },
});
const report = await runFaults({
  seed: Number(values.seed),
  uploads: Number(values.uploads),
  kills: Number(values.kills),
  clients: Number(values.clients),
  outage_s: Number(values['outage-s']),
  keep: values.keep,
  say,
});
say(`kills: ${report.kills.map(({ victim, after_s }) => `${victim} at ${after_s} s`).join(', ')}`);
say(JSON.stringify(report.numbers));
for (const { ok, text } of report.findings) say(`${ok ? 'ok   ' : 'WRONG'} ${text}`);
say(`${report.faults.length} faults seen by clients`);
const failed = report.faults.length > 0 || report.findings.some(({ ok }) => !ok);
process.exit(failed ? 1 : 0);
