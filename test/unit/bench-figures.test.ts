import { describe, expect, it } from 'vitest';
import { parseOpsOutput } from '../../bench/kernels/parse-ops.mjs';
import { parametersOf, roofline } from '../../bench/kernels/steps.mjs';
import { shapeOf } from '../../bench/models/shapes.mjs';
import { readBenchOptions } from '../../bench/options.mjs';
import { agreement } from '../../bench/peers/same-tokens.mjs';
import { markdownTable, short } from '../../bench/report.mjs';
import { findKnee, nextRate, type RatePoint } from '../../bench/serving/knee.mjs';
import { figuresOf, tpotOf, ttftOf } from '../../bench/serving/outcome.mjs';
import { engineDelta, labelValues, metricSums } from '../../bench/serving/prometheus.mjs';
import { EventReader } from '../../bench/serving/sse-client.mjs';
import { chooseAdapters, makeRequests, poissonArrivals, zipfDraw } from '../../bench/serving/workload.mjs';
import { median, pairedRatio, quantile, seededRandom, spread, summary } from '../../bench/statistics.mjs';
import { escapeXml, niceTicks, svgChart } from '../../bench/svg-chart.mjs';

describe('statistics', () => {
  it('interpolates quantiles between ranks, whatever the order', () => {
    expect(quantile([3, 1, 2], 0.5)).toBe(2);
    expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(
      quantile(
        Array.from({ length: 101 }, (_, i) => 100 - i),
        0.99,
      ),
    ).toBeCloseTo(99);
    expect(quantile([7], 0.99)).toBe(7);
    expect(median([])).toBeUndefined();
    expect(summary([])).toBeUndefined();
  });

  it('takes ratios within a round, so that what slows both cancels', () => {
    expect(pairedRatio([2, 20, 200], [1, 10, 100])).toEqual({ median: 2, least: 2, most: 2, rounds: 3 });
    expect(() => spread([])).toThrow('no rounds');
  });
});

describe('the floor of a step', () => {
  it('counts the weights that rows and sampled rows multiply, and every byte once', () => {
    const parameters = parametersOf(shapeOf('1b'));
    expect(parameters).toEqual({ row: 973_078_528, sample: 262_668_288 }); // 1.2357 G in all, less the norms
    const profile = {
      step: '',
      rows: 16,
      samples: 16,
      weightBytes: 700e6,
      adapterBytes: 300e6,
      ms: 0,
      ops: {},
    };
    const machine = { threads: 2, readGBps: 50, int8Gops: 1000 };
    const floor = roofline(profile, parameters, machine);
    expect(floor.memory_ms).toBeCloseTo(20);
    expect(floor.arithmetic_ms).toBeCloseTo(39.54, 1);
  });
});

describe('workloads', () => {
  it('gives Poisson arrivals of the asked rate, ascending and within the time', () => {
    const arrivals = poissonArrivals(50, 200, seededRandom(1));
    expect(Math.abs(arrivals.length - 10_000)).toBeLessThan(400);
    expect(arrivals.every((at, i) => at >= (arrivals[i - 1] ?? 0) && at < 200_000)).toBe(true);
    const gaps = arrivals.map((at, i) => at - (arrivals[i - 1] ?? 0));
    const mean = gaps.reduce((a, b) => a + b) / gaps.length;
    const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
    expect(deviation / mean).toBeCloseTo(1, 1); // exponential gaps
    expect(poissonArrivals(50, 200, seededRandom(1))).toEqual(arrivals);
  });

  it('asks for adapters by popularity', () => {
    const used = (name: 'none' | 'identical' | 'uniform' | 'zipf' | 'distinct') =>
      new Set(chooseAdapters(name, 16, 16, seededRandom(3)));
    expect(used('none')).toEqual(new Set([undefined]));
    expect(used('identical')).toEqual(new Set([0]));
    expect(used('uniform').size).toBe(4);
    expect(used('distinct').size).toBe(16);
    expect(used('zipf').size).toBeGreaterThan(1);
    expect(() => chooseAdapters('zipf', 4, 0, Math.random)).toThrow('needs adapters');
  });

  it('draws ranks by the power law', () => {
    const draw = zipfDraw(1000, 1.5);
    const random = seededRandom(5);
    const counts = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      const rank = draw(random());
      counts.set(rank, (counts.get(rank) ?? 0) + 1);
    }
    expect((counts.get(0) ?? 0) / (counts.get(3) ?? 1)).toBeGreaterThan(6.5); // 4 ** 1.5 = 8
    expect((counts.get(0) ?? 0) / (counts.get(3) ?? 1)).toBeLessThan(9.5);
    expect(draw(1)).toBe(999);
  });

  it('never repeats a prompt under another seed and leaves out special tokens', () => {
    const wanted = {
      count: 3,
      promptTokens: 40,
      newTokens: 5,
      vocabulary: 100,
      popularity: 'none',
      adapters: 0,
    } as const;
    const [first, second] = [1, 2].map((seed) => makeRequests({ ...wanted, seed }));
    expect(first).not.toEqual(second);
    expect(first?.flatMap(({ prompt }) => prompt).every((id) => id >= 0 && id < 98)).toBe(true);
    expect(makeRequests({ ...wanted, seed: 1 })).toEqual(first);
  });
});

describe('figures of a run', () => {
  const outcome = (arrived_ms: number, times_ms: number[], fault?: string) => ({
    arrived_ms,
    times_ms,
    fault,
  });

  it('counts TTFT from the arrival and TPOT after the first token', () => {
    expect(ttftOf(outcome(100, [350, 450, 650]))).toBe(250);
    expect(tpotOf(outcome(100, [350, 450, 650]))).toBe(150);
    expect(tpotOf(outcome(0, [5]))).toBeUndefined();
  });

  it('counts as good only what met both limits, and leaves failed requests out of throughput', () => {
    const figures = figuresOf(
      [
        outcome(0, [500, 600, 1000]),
        outcome(0, [1500, 1600, 1700]), // first token too late
        outcome(0, [100, 900, 2000]), // tokens too slow
        outcome(0, [300], 'http 503'),
      ],
      { ttft_ms: 1000, tpot_ms: 300 },
    );
    expect(figures.tokensPerSecond).toBe(4.5);
    expect(figures.goodTokensPerSecond).toBe(1.5);
    expect(figures.metShare).toBe(0.25);
    expect(figures.faults).toEqual({ 'http 503': 1 });
    expect(figures.ttft_ms?.p50).toBe(500);
  });

  it('gives figures when every request failed', () => {
    const figures = figuresOf([outcome(0, [], 'http 503'), outcome(5, [], 'aborted')]);
    expect(figures.tokensPerSecond).toBe(0);
    expect(figures.metShare).toBe(0);
    expect(figures.ttft_ms).toBeUndefined();
  });

  it('measures decoding only while all requests generate', () => {
    const figures = figuresOf([outcome(0, [100, 200, 300, 400]), outcome(0, [200, 300, 400, 500])]);
    expect(figures.decodeTokensPerSecond).toBe(20);
    expect(figures.laterTokensPerSecond).toBe(15);
  });
});

describe('the knee', () => {
  const point = (perSecond: number, metShare: number, overloaded = false) =>
    ({
      perSecond,
      overloaded,
      figures: { ...figuresOf([{ arrived_ms: 0, times_ms: [1], fault: undefined }]), metShare },
    }) as RatePoint;

  it('lies below the lowest rate that is not carried, even when a higher one was lucky', () => {
    const knee = findKnee([point(4, 1), point(1, 1), point(3, 0.5), point(2, 0.95)]);
    expect([knee.carried?.perSecond, knee.missed?.perSecond]).toEqual([2, 3]);
    expect(findKnee([point(1, 1), point(2, 1, true)]).carried?.perSecond).toBe(1);
  });

  it('is unknown when nothing or everything is carried', () => {
    expect(findKnee([point(1, 0.1)]).carried).toBeUndefined();
    expect(findKnee([point(1, 1), point(2, 1)])).toMatchObject({
      carried: { perSecond: 2 },
      missed: undefined,
    });
    expect(findKnee([])).toEqual({ carried: undefined, missed: undefined });
  });

  it('is looked for between its two sides until they are close', () => {
    expect(nextRate([point(1, 1), point(2, 0)], 0.1)).toBe(1.5);
    expect(nextRate([point(1, 1), point(1.05, 0)], 0.1)).toBeUndefined();
    expect(nextRate([point(1, 1)], 0.1)).toBeUndefined();
  });
});

describe('what the client and the metrics say', () => {
  it('reads events across pieces and knows a broken stream', () => {
    const seen: number[] = [];
    const reader = new EventReader((ids) => seen.push(...ids));
    const events = [
      { choices: [{ token_ids: [1, 2] }] },
      { choices: [{ text: 'x' }] },
      { choices: [{ token_ids: [3] }] },
    ];
    const text = `: keep-alive\n\n${events.map((event) => `data: ${JSON.stringify(event)}\n\n`).join('')}`;
    for (let i = 0; i < text.length; i += 7) reader.take(text.slice(i, i + 7));
    expect(seen).toEqual([1, 2, 3]);
    expect(reader.fault(3, 3)).toBe('broken');
    reader.take('data: [DONE]\n\n');
    expect(reader.fault(3, 3)).toBeUndefined();
    expect(reader.fault(3, 4)).toBe('3 of 4 tokens');
    reader.take('data: {"error":{"code":"engine_unavailable"}}\n\n');
    expect(reader.fault(3, 3)).toBe('engine_unavailable');
  });

  it('sums metrics over labels and says nothing of what the engine does not report', () => {
    const text = (count: number) =>
      [
        '# HELP lorikeet_engine_adapter_loads_total x',
        `lorikeet_engine_adapter_loads_total{outcome="ok"} ${count}`,
        'lorikeet_engine_adapter_loads_total{outcome="error"} 1',
        `lorikeet_engine_adapter_lookups_total{app="engine",tier="device"} ${count * 3}`,
        `lorikeet_engine_adapter_lookups_total{app="engine",tier="storage"} ${count}`,
        'lorikeet_engine_step_rows_bucket{le="4"} 9',
        `lorikeet_engine_step_rows_sum ${count * 10}`,
        `lorikeet_engine_step_rows_count ${count}`,
        'lorikeet_fleet_engine_ready{engine="http://127.0.0.1:9",app="api"} 1',
      ].join('\n');
    const delta = engineDelta(metricSums(text(2)), metricSums(text(7)));
    expect(delta.adapterLoads).toBe(5);
    expect(delta.rowsPerStep).toBe(10);
    expect(delta.adapterHitShare).toBe(0.75);
    expect(delta.prefixHitShare).toBeUndefined();
    expect(labelValues(text(1), 'lorikeet_fleet_engine_ready', 'engine')).toEqual(['http://127.0.0.1:9']);
  });

  it('reads the op benchmark: times, rates, shares and named quantities under their headings', () => {
    const { rows, headings } = parseOpsOutput(
      [
        'cpu avx512 2 threads, read 36.1 GB/s',
        'int8, peak 937.0 GOP/s',
        ' 2048 x 2048      16     123.4 us     87.2 GOP/s (0.37)    34.1 GB/s (0.94 of 36.1)  distinct r16 adapters: 1.21 of the time',
        'KV cache in bf16',
        'attention   1 x    1 rows, context  4096:      99.5 us     3.1 GFLOP/s   12.0 GB/s of cache; rope_kv     1.5 us',
      ].join('\n'),
    );
    expect(headings).toHaveLength(3);
    expect(rows[0]).toEqual({
      group: 'linear, int8, peak 937.0 GOP/s',
      label: '2048 x 2048      16',
      values: {
        us: 123.4,
        'GOP/s': 87.2,
        'GOP/s share': 0.37,
        'GB/s': 34.1,
        'GB/s share': 0.94,
        'GB/s measured': 36.1,
        'distinct r16 adapters of the time': 1.21,
      },
    });
    expect(rows[1]).toMatchObject({
      group: 'attention, KV cache in bf16',
      values: { us: 99.5, 'rope_kv us': 1.5 },
    });
  });

  it('tells equal tokens from near ties and from another model', () => {
    expect(
      agreement([
        { given: -1, best: -1 },
        { given: -1.05, best: -1 },
      ]),
    ).toMatchObject({ equal: 1, nearTies: 1 });
    expect(agreement([{ given: -9, best: -1 }])).toMatchObject({ equal: 0, nearTies: 0, worstGap: 8 });
  });
});

describe('tables and charts', () => {
  it('writes numbers short and never in powers', () => {
    expect([0.123456, 12.345, 123.45, 1_234_567, 0].map(short)).toEqual([
      '0.123',
      '12.3',
      '123',
      '1234567',
      '0',
    ]);
    expect(
      markdownTable(
        ['a', 'value'],
        [
          ['x', 1.234],
          ['y', undefined],
        ],
      ),
    ).toBe('| a   | value |\n| --- | ----- |\n| x   | 1.23  |\n| y   |       |');
  });

  it('draws every point inside its picture, sorted, with text that cannot break it', () => {
    const svg = svgChart({
      title: 'a < b & "c"',
      xLabel: 'x',
      marks: [{ group: 'g', x: 2, label: 'knee' }],
      panels: [
        {
          title: 'T',
          unit: 'ms',
          limit: 1000,
          lines: [
            {
              group: 'g',
              name: 'p50',
              points: [
                [3, 30],
                [1, 10],
              ],
            },
          ],
        },
      ],
    });
    expect(svg).toContain('a &lt; b &amp; &quot;c&quot;');
    const [, points = ''] = /<polyline points="([^"]+)"/.exec(svg) ?? [];
    const xs = points.split(' ').map((pair) => Number(pair.split(',')[0]));
    expect(xs[0]).toBeLessThan(xs[1] ?? 0);
    for (const [, value = ''] of svg.matchAll(/(?:cx|cy|x1|y1)="([^"]+)"/g)) {
      expect(Number(value)).toBeGreaterThanOrEqual(0);
      expect(Number(value)).toBeLessThanOrEqual(720);
    }
    expect(svg).not.toContain('NaN');
  });

  it('cuts off what would flatten the rest, and says so', () => {
    const line = (name: string, y: number) => ({ group: 'g', name, points: [[1, y]] as const });
    const panel = { title: 'T', unit: 'ms', cut: 100, lines: [line('p50', 50), line('p99', 9000)] };
    const svg = svgChart({ title: 't', xLabel: 'x', marks: [], panels: [panel] });
    expect(svg).toContain('cut off above 100');
    expect(svg).toContain('p99 (dashed)');
    expect(
      svgChart({ title: 't', xLabel: 'x', marks: [], panels: [{ ...panel, cut: 10_000 }] }),
    ).not.toContain('cut off');
  });

  it('draws a chart without any point', () => {
    const svg = svgChart({
      title: 't',
      xLabel: 'x',
      marks: [],
      panels: [{ title: 'T', unit: 'ms', lines: [{ group: 'g', name: 'n', points: [] }] }],
    });
    expect(svg).not.toContain('NaN');
    expect(svg).not.toContain('Infinity');
  });

  it('chooses round ticks', () => {
    expect(niceTicks(1, 4)).toEqual([0, 0.5, 1]);
    expect(niceTicks(0.3, 4)).toEqual([0, 0.1, 0.2, 0.3]);
    expect(niceTicks(0, 4)).toEqual([0]);
    expect(escapeXml('<')).toBe('&lt;');
  });
});

describe('options of npm run bench', () => {
  it('gives the peer as many bits as ours', () => {
    expect(readBenchOptions(['--format', 'int8', '--only', 'peers,kernels'], {})).toMatchObject({
      peerFormat: 'q8_0',
      suites: ['peers', 'kernels'],
      rounds: 3,
    });
    expect(readBenchOptions(['--quick'], {})).toMatchObject({
      rounds: 1,
      format: 'int4',
      peerFormat: 'q4_0',
    });
  });

  it('refuses what it does not know and says what it expected', () => {
    expect(() => readBenchOptions(['--only', 'kernel'], {})).toThrow(
      'expected kernels, steps, device, serving, peers, many',
    );
    expect(() => readBenchOptions(['--rounds', '0'], {})).toThrow('expected a whole number from 1');
    expect(() => readBenchOptions(['--fast'], {})).toThrow('--fast');
    expect(readBenchOptions(['--help'], {})).toBe('help');
  });
});
