import { conditions, loadLine, markdownTable, short, shortSpread } from '../report.mjs';
import { describeProbe } from '../kernels/probe.mjs';

/** @param {{ machine: any, load: any, options: object, result: import('./suite.mjs').PeersResult }} run */
export function peersMarkdown({ machine, load, options, result }) {
  const { sameTokens, tuned, llamaCpp, noTransformers, table, runs, probes } = result;
  const [ours, ...peers] = [...new Set(table.flatMap(({ measured }) => measured.map(({ side }) => side)))];
  const of = (/** @type {(typeof table)[number]} */ row, /** @type {string | undefined} */ side) =>
    row.measured.find((one) => one.side === side);
  const firstTokens = runs.filter(({ round, case: name }) => round === 0 && name.startsWith('wave'));
  return [
    '# Lorikeet and its peers',
    conditions(machine, {
      load: loadLine(load),
      options: `\`${JSON.stringify(options)}\``,
      peer: `${llamaCpp}; settings ${JSON.stringify(tuned.best)}, in process, huge pages, no HTTP`,
      'same tokens': `${sameTokens.equal} of ${sameTokens.tokens} of the peer's greedy tokens are our best ones on the same 16-bit weights, ${sameTokens.nearTies} near ties, worst gap ${short(sameTokens.worstGap)} (control: ${sameTokens.controlEqual} of ${sameTokens.controlTokens} random tokens pass)`,
      ...(noTransformers ? { 'left out': `Transformers + PEFT: ${noTransformers}` } : {}),
    }),
    'Tokens per second, higher is better; median (least-most) of rounds that ran in turn. Ours is measured over HTTP through the whole product, with its client on the same cores; the peers in their process.',
    markdownTable(
      ['case', ours ?? 'Lorikeet', ...peers.flatMap((peer) => [peer, `ours / ${peer}`])],
      table.map((row) => {
        const mine = of(row, ours);
        return [
          row.case,
          mine && shortSpread(mine.tokensPerSecond),
          ...peers.flatMap((peer) => {
            const theirs = of(row, peer);
            return theirs ? [shortSpread(theirs.tokensPerSecond), shortSpread(theirs.oursOver)] : ['', ''];
          }),
        ];
      }),
    ),
    '## First tokens in the waves (round 1), ms',
    markdownTable(
      ['case', 'side', 'TTFT p50', 'TTFT p99', 'TPOT p50'],
      firstTokens.map(({ case: name, side, figures }) => [
        name,
        side,
        figures.ttft_ms?.p50,
        figures.ttft_ms?.p99,
        figures.tpot_ms?.p50,
      ]),
    ),
    '## The machine before each round',
    probes.map((points, round) => `${round + 1}. ${describeProbe(points)}`).join('\n'),
  ].join('\n\n');
}
