import { conditions, loadLine, markdownTable, short, shortSpread } from '../report.mjs';
import { svgChart } from '../svg-chart.mjs';

/** @typedef {Awaited<ReturnType<import('./suite.mjs').ServingSuite['run']>>} ServingResult */

/** @param {number | undefined} share */
const percent = (share) => (share === undefined ? undefined : `${short(share * 100)} %`);

/** @param {{ machine: any, load: any, options: object, result: ServingResult, svgName: string | undefined }} run */
export function servingMarkdown({ machine, load, options, result, svgName }) {
  const { waves, unused, overhead, neighbour, coldStart, sweeps } = result;
  return [
    '# Serving over HTTP',
    conditions(machine, { load: loadLine(load), options: `\`${JSON.stringify(options)}\`` }),
    'Rounds in turn; median (least-most). TTFT and TPOT in ms as the client sees them.',
    '## Waves: all requests at once',
    waveTable(waves),
    '## Ratios of neighbouring runs',
    markdownTable(
      ['what', 'measured', 'target'],
      [
        ['distinct adapters / no adapter', shortSpread(ofNone(waves, 'distinct')), '>= 0.85'],
        ['adapters loaded but unused / engine without any', shortSpread(unused.ratio), '>= 0.99'],
        [
          `with a busy neighbour (it got ${short(neighbour.neighbourCpus.median)} CPUs) / quiet`,
          shortSpread(neighbour.ratio),
          '>= 0.40',
        ],
        [
          'API to first token over the engine itself, ms',
          overhead ? shortSpread(overhead.added_ms) : 'not reported',
          '<= 2',
        ],
        ['adapter cold start (uploaded, not loaded) over warm, ms', shortSpread(coldStart.added_ms), '<= 50'],
      ],
    ),
    '## Open loop: Poisson arrivals',
    'A rate is carried when 90 % of its requests keep both limits; the knee is the highest rate below which all are.',
    ...(svgName ? [`![TTFT and TPOT against the request rate](${svgName})`] : []),
    ...sweeps.map(sweepTable),
  ].join('\n\n');
}

/** @param {ServingResult['waves']} waves @param {string} name */
function ofNone({ byPopularity }, name) {
  const found = byPopularity.find(({ popularity }) => popularity === name);
  if (!found) throw new Error(`no wave ${name}`);
  return found.ofNone;
}

/** @param {ServingResult['waves']} waves */
function waveTable({ byPopularity }) {
  const head = [
    'popularity',
    'tokens/s',
    'of none',
    'TTFT p50',
    'TTFT p99',
    'TPOT p50',
    'decode tokens/s',
    'outside native',
    'adapter loads',
    'prefix hits',
  ];
  return markdownTable(
    head,
    byPopularity.map(({ popularity, tokensPerSecond, ofNone, runs }) => {
      const { figures, engine } = /** @type {(typeof runs)[number]} */ (runs.at(-1));
      return [
        popularity,
        shortSpread(tokensPerSecond),
        shortSpread(ofNone),
        figures.ttft_ms?.p50,
        figures.ttft_ms?.p99,
        figures.tpot_ms?.p50,
        figures.decodeTokensPerSecond,
        percent(engine.outsideShare),
        engine.adapterLoads,
        percent(engine.prefixHitShare),
      ];
    }),
  );
}

/** @param {ServingResult['sweeps'][number]} sweep */
function sweepTable({ popularity, points, knee, isLowerBound, kneeOfNone }) {
  const head = [
    'requests/s',
    'tokens/s',
    'goodput',
    'within limits',
    'TTFT p50',
    'p95',
    'p99',
    'TPOT p50',
    'p99',
    'faults',
  ];
  const rows = [...points]
    .sort((a, b) => a.perSecond - b.perSecond)
    .map(({ perSecond, overloaded, figures }) => [
      short(perSecond),
      figures.tokensPerSecond,
      figures.goodTokensPerSecond,
      percent(figures.metShare),
      figures.ttft_ms?.p50,
      figures.ttft_ms?.p95,
      figures.ttft_ms?.p99,
      figures.tpot_ms?.p50,
      figures.tpot_ms?.p99,
      `${Object.entries(figures.faults)
        .map(([fault, count]) => `${count} ${fault}`)
        .join(', ')}${overloaded ? ' overloaded' : ''}`.trim(),
    ]);
  const bound = isLowerBound ? 'at least ' : '';
  const where = knee === undefined ? 'below all of these' : `${bound}${short(knee)} requests/s`;
  const share = kneeOfNone === undefined ? '' : `, ${short(kneeOfNone)} of the one without adapters`;
  return `### ${popularity}: knee ${where}${share}\n\n${markdownTable(head, rows)}`;
}

/** TTFT and TPOT over the request rate. @param {{ title: string, result: ServingResult, limits: { ttft_ms: number, tpot_ms: number } }} chart */
export function sweepSvg({ title, result: { sweeps }, limits }) {
  /** @param {'ttft_ms' | 'tpot_ms'} quantity */
  const lines = (quantity) =>
    sweeps.flatMap(({ popularity, points }) =>
      /** @type {const} */ (['p50', 'p99']).map((rank) => ({
        name: `${popularity} ${rank}`,
        points: points.flatMap(({ perSecond, figures }) => {
          const value = figures[quantity]?.[rank];
          return value === undefined ? [] : [/** @type {const} */ ([perSecond, value])];
        }),
      })),
    );
  const knee = sweeps[0]?.knee;
  return svgChart({
    title,
    xLabel: 'requests per second (Poisson)',
    ...(knee === undefined ? {} : { mark: { x: knee, label: `knee (${sweeps[0]?.popularity})` } }),
    panels: [
      { title: 'Time to the first token', unit: 'ms', lines: lines('ttft_ms'), limit: limits.ttft_ms },
      { title: 'Time per token after it', unit: 'ms', lines: lines('tpot_ms'), limit: limits.tpot_ms },
    ],
  });
}
