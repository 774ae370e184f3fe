import { conditions, loadLine, markdownTable, short, shortSpread } from '../report.mjs';
import { svgChart } from '../svg-chart.mjs';

/** @typedef {Awaited<ReturnType<import('./suite.mjs').ServingSuite['run']>>} ServingResult */

/** @param {number | undefined} share */
const percent = (share) => (share === undefined ? undefined : `${short(share * 100)} %`);

/** @param {{ machine: any, load: any, options: object, result: ServingResult, svgName: string | undefined }} run */
export function servingMarkdown({ machine, load, options, result, svgName }) {
  const { waves, unused, overhead, neighbour, coldStart, sweeps, memory } = result;
  const mib = (/** @type {number} */ bytes) => `${Math.round(bytes / 2 ** 20)} MiB`;
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
    `Engine memory: peak ${mib(memory.peakBytes)} resident, of which KV cache ${mib(memory.kvBytes)} (reserved), adapters ${mib(memory.adapterBytes)}, weights and the rest ${mib(memory.restBytes)}.`,
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
    'adapter hits',
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
        percent(engine.adapterHitShare),
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
  const share =
    kneeOfNone === undefined || popularity === 'none'
      ? ''
      : `, ${short(kneeOfNone)} of the one without adapters`;
  return `### ${popularity}: knee ${where}${share}\n\n${markdownTable(head, rows)}`;
}

/** Of a limit: what lies higher than this is past the knee anyway, and would flatten the rest. */
const CUT = 3;

/** TTFT and TPOT over the request rate. @param {{ title: string, result: ServingResult, limits: { ttft_ms: number, tpot_ms: number } }} chart */
export function sweepSvg({ title, result: { sweeps }, limits }) {
  /** @param {'ttft_ms' | 'tpot_ms'} quantity */
  const panel = (quantity) => ({
    unit: 'ms',
    limit: limits[quantity],
    cut: limits[quantity] * CUT,
    lines: sweeps.flatMap(({ popularity, points }) =>
      /** @type {const} */ (['p50', 'p99']).map((rank) => ({
        group: popularity,
        name: `${popularity} ${rank}`,
        points: points.flatMap(({ perSecond, figures }) => {
          const value = figures[quantity]?.[rank];
          return value === undefined ? [] : [/** @type {const} */ ([perSecond, value])];
        }),
      })),
    ),
  });
  return svgChart({
    title,
    xLabel: 'requests per second (Poisson)',
    marks: sweeps.flatMap(({ popularity, knee, isLowerBound }) =>
      knee === undefined
        ? []
        : [{ group: popularity, x: knee, label: `knee ${isLowerBound ? '>= ' : ''}${short(knee)}/s` }],
    ),
    panels: [
      { title: 'Time to the first token', ...panel('ttft_ms') },
      { title: 'Time per token after it', ...panel('tpot_ms') },
    ],
  });
}
