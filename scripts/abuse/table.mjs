/** The report as a table in Markdown. @param {import('./run.mjs').AbuseRow[]} rows */
export function abuseTable(rows) {
  const head = [
    'abuse',
    'answers',
    '`/health/live` p50 / p99 / max ms',
    "another tenant's token p50 / max ms",
    "another tenant's upload p50 / max ms",
    'memory before / peak / after MiB',
  ];
  const lines = rows.map(({ name, answers, health, token, upload, memory_mib: { before, peak, after } }) => [
    name,
    Object.entries(answers)
      .map(([status, count]) => `${count} x ${status === '0' ? 'closed' : status}`)
      .join(', ') || '-',
    `${health.p50} / ${health.p99} / ${health.max}`,
    `${token.p50} / ${token.max}`,
    upload.count === 0 ? '-' : `${upload.p50} / ${upload.max}`,
    `${before} / ${peak} / ${after}`,
  ]);
  return [head, head.map(() => '---'), ...lines].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}
