import { useComputedColorScheme } from '@mantine/core';
import { useElementSize } from '@mantine/hooks';
import { useEffect, useRef } from 'react';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { Text } from './elements';
import { bothZones } from './format';

export interface Series {
  readonly label: string;
  readonly color: string;
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  readonly label: string;
  /** Unix seconds, ascending. */
  readonly times: readonly number[];
  readonly series: readonly Series[];
  /** First and last time shown, Unix seconds; what lies between without a value is empty, not left out. */
  readonly range: readonly [number, number];
  readonly format?: (value: number) => string;
  readonly height?: number;
}

/** The top of the axis: not the one outlier, where it is more than three times the 98th percentile. */
function axisTop(values: readonly (number | null)[]): number {
  const known = values
    .filter((value): value is number => value !== null && Number.isFinite(value))
    .sort((a, b) => a - b);
  const most = known.at(-1) ?? 0;
  const usual = known[Math.floor((known.length - 1) * 0.98)] ?? 0;
  const top = known.length > 20 && most > 3 * usual && usual > 0 ? usual * 1.5 : most * 1.1;
  return top > 0 ? top : 1;
}

/** Values without a neighbour: no line goes through them, so they are drawn as points. */
function alone(plot: uPlot, series: number): number[] {
  const values = plot.data[series] ?? [];
  const missing = (index: number): boolean => values[index] === null || values[index] === undefined;
  return Array.from(values, (_, index) => index).filter(
    (index) => !missing(index) && missing(index - 1) && missing(index + 1),
  );
}

const whenOf = (seconds: number | null): string =>
  seconds === null ? '–' : bothZones(new Date(seconds * 1000).toISOString());

/** What the longest of them needs, "11:59:30 PM". */
const TICK_PX = 90;

/** A time on the axis, as exact as the ticks are apart; at midnight the day. */
function tickOf(seconds: number, step_s: number): string {
  const at = new Date(seconds * 1000);
  const midnight = at.getHours() === 0 && at.getMinutes() === 0;
  if (step_s >= 86_400 || (midnight && step_s >= 3_600))
    return at.toLocaleDateString(undefined, { month: 'short', day: 'numeric' });
  return at.toLocaleTimeString(undefined, { timeStyle: step_s < 60 ? 'medium' : 'short' });
}

/** Series over time; redrawn in place when they grow. */
export function Chart({ label, times, series, range, format = String, height = 200 }: ChartProps) {
  const dark = useComputedColorScheme('light') === 'dark';
  const { ref, width } = useElementSize();
  const holder = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const shape = JSON.stringify([series.map(({ label: name, color }) => [name, color]), dark, height]);
  const draw = useRef({ series, format, range });
  draw.current = { series, format, range };

  useEffect(() => {
    if (!holder.current || width === 0) return;
    const axis = { stroke: dark ? '#c1c2c5' : '#495057', grid: { stroke: dark ? '#373a40' : '#e9ecef' } };
    const made = new uPlot(
      {
        width,
        height,
        cursor: { y: false },
        scales: {
          x: { range: () => [...draw.current.range] },
          y: { range: () => [0, axisTop(draw.current.series.flatMap(({ values }) => [...values]))] },
        },
        axes: [
          {
            ...axis,
            space: TICK_PX,
            values: (_, splits, __, ___, step) => splits.map((at) => tickOf(at, step)),
          },
          { ...axis, size: 64, values: (_, splits) => splits.map((value) => draw.current.format(value)) },
        ],
        series: [
          { label: 'Time', value: (_, seconds: number | null) => whenOf(seconds) },
          ...draw.current.series.map(({ label: name, color }) => ({
            label: name,
            stroke: color,
            width: 2,
            fill: `${color}18`,
            spanGaps: false,
            points: { show: true, size: 5, filter: alone },
            value: (_: uPlot, value: number | null) => (value === null ? '–' : draw.current.format(value)),
          })),
        ],
      },
      [[], ...draw.current.series.map(() => [])] as unknown as uPlot.AlignedData,
      holder.current,
    );
    plot.current = made;
    return () => made.destroy();
  }, [width, shape, dark, height]);

  useEffect(() => {
    plot.current?.setData([[...times], ...series.map(({ values }) => [...values])] as uPlot.AlignedData);
  }, [times, series, width, shape]);

  if (times.length === 0) {
    return (
      <Text c="dimmed" size="sm" h={height} ta="center" pt={height / 2 - 12}>
        Nothing in this time yet.
      </Text>
    );
  }
  return (
    <div ref={ref} role="img" aria-label={label}>
      <div ref={holder} style={{ minHeight: height }} />
    </div>
  );
}
