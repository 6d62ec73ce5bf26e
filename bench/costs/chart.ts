/** Horizontal bars as SVG: stacked, or one with its spread; legible on light and on dark ground. */

/** One stretch of a bar. */
export interface Segment {
  /** What it is, as in the legend. */
  readonly what: string;
  readonly value: number;
}

export interface Bar {
  readonly label: string;
  readonly segments: readonly Segment[];
  /** Behind the bar, such as its sum. */
  readonly text: string;
  /** Tenth and ninetieth percentile of the sum. */
  readonly spread?: readonly [number, number] | undefined;
}

export interface Chart {
  readonly title: string;
  /** What the axis counts. */
  readonly unit: string;
  readonly bars: readonly Bar[];
}

/** Pixels. */
const WIDTH = 900;
const LABELS = 310;
const TEXTS = 100;
const BAR = 20;
const GAP = 10;
const TOP = 44;
const LEGEND_COLUMNS = 3;
const LEGEND_LINE = 20;

/** Okabe and Ito's, who chose them so that everybody can tell them apart; the greys are legible on black and on white. */
const COLORS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a8a8a", "#b8a800", "#6a5acd"];

/** The chart as an SVG document. */
export function chartSvg({ title, unit, bars }: Chart): string {
  const kinds = [...new Set(bars.flatMap(({ segments }) => segments.map(({ what }) => what)))];
  const reach = (bar: Bar) => Math.max(sum(bar), bar.spread?.[1] ?? 0);
  const step = tickStep(Math.max(...bars.map(reach)));
  const end = step * Math.ceil(Math.max(...bars.map(reach)) / step);
  const scale = (WIDTH - LABELS - TEXTS) / end;
  const x = (value: number) => round(LABELS + value * scale);
  const bottom = TOP + bars.length * (BAR + GAP);
  const legend = kinds.length > 1 ? Math.ceil(kinds.length / LEGEND_COLUMNS) * LEGEND_LINE : 0;
  const height = bottom + 44 + legend;
  const ticks = Array.from({ length: Math.round(end / step) + 1 }, (_, index) => index * step);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img">`,
    `<title>${escaped(title)}</title>`,
    "<style>",
    "text { font: 13px system-ui, sans-serif; fill: #24292f; }",
    ".title { font-weight: 600; font-size: 15px; }",
    ".axis { stroke: #8a8a8a; stroke-opacity: 0.45; }",
    ".spread { stroke: #24292f; stroke-width: 1.5; }",
    "@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .spread { stroke: #e6edf3; } }",
    "</style>",
    `<text class="title" x="0" y="18">${escaped(title)}</text>`,
    ...ticks.flatMap((value) => [
      `<line class="axis" x1="${x(value)}" x2="${x(value)}" y1="${TOP - 8}" y2="${bottom}"/>`,
      `<text x="${x(value)}" y="${bottom + 16}" text-anchor="middle">${number(value)}</text>`,
    ]),
    `<text x="${x(end)}" y="${bottom + 34}" text-anchor="end">${escaped(unit)}</text>`,
    ...bars.flatMap((bar, index) => barLines(bar, TOP + index * (BAR + GAP), kinds, x)),
    ...(legend === 0 ? [] : legendLines(kinds, bottom + 44)),
    "</svg>",
    "",
  ].join("\n");
}

function barLines(bar: Bar, y: number, kinds: readonly string[], x: (value: number) => number): string[] {
  const middle = y + BAR / 2;
  const lines = [`<text x="${LABELS - 10}" y="${middle + 4}" text-anchor="end">${escaped(bar.label)}</text>`];
  let from = 0;
  for (const { what, value } of bar.segments) {
    const [left, right] = [x(from), x(from + value)];
    const color = COLORS[kinds.indexOf(what) % COLORS.length];
    lines.push(
      `<rect x="${left}" y="${y}" width="${round(right - left)}" height="${BAR}" fill="${color}"><title>${escaped(what)}: ${number(value)}</title></rect>`,
    );
    from += value;
  }
  if (bar.spread !== undefined) {
    const [low, high] = bar.spread.map(x) as [number, number];
    lines.push(
      `<path class="spread" d="M${low} ${middle}H${high}M${low} ${middle - 5}v10M${high} ${middle - 5}v10" fill="none"/>`,
    );
  }
  const behind = x(Math.max(from, bar.spread?.[1] ?? 0)) + 8;
  return [...lines, `<text x="${round(behind)}" y="${middle + 4}">${escaped(bar.text)}</text>`];
}

function legendLines(kinds: readonly string[], y: number): string[] {
  return kinds.flatMap((what, index) => {
    const left = Math.floor(WIDTH / LEGEND_COLUMNS) * (index % LEGEND_COLUMNS);
    const top = y + Math.floor(index / LEGEND_COLUMNS) * LEGEND_LINE;
    return [
      `<rect x="${left}" y="${top}" width="12" height="12" fill="${COLORS[index % COLORS.length]}"/>`,
      `<text x="${left + 18}" y="${top + 11}">${escaped(what)}</text>`,
    ];
  });
}

function sum({ segments }: Bar): number {
  return segments.reduce((total, { value }) => total + value, 0);
}

/** 1, 2 or 5 times a power of ten, so that there are four to ten of them. */
function tickStep(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(highest / 4));
  return ([1, 2, 5, 10].find((factor) => highest / (factor * power) <= 8) as number) * power;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function number(value: number): string {
  return String(Number(value.toPrecision(4)));
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}
