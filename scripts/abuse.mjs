// `node scripts/abuse.mjs`: starts the product, abuses it in every way of docs/security.md, and prints what everybody else
// noticed. `--short` takes a second for each; `--only PATTERN` runs the abuses whose name fits it.
import { parseArgs } from 'node:util';
import { runAbuses } from './abuse/run.mjs';
import { abuseTable } from './abuse/table.mjs';
import { say } from './lib/print.mjs';

const { values } = parseArgs({
  options: {
    short: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    'memory-s': { type: 'string', default: '60' },
  },
});
const report = await runAbuses({
  each_ms: values.short ? 1_500 : 10_000,
  memory_s: Number(values['memory-s']),
  only: values.only === '' ? undefined : new RegExp(values.only),
  say,
});
say(abuseTable(report.rows));
for (const finding of report.findings) say(`WRONG ${finding}`);
process.exit(report.findings.length > 0 ? 1 : 0);
