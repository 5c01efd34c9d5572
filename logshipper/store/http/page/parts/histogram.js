// Lines over time by level: drag over a span to look into it, click a bar, toggle a level.

import { included, LEVELS, toggled } from "../pure/fields.js";
import { wider } from "../pure/ranges.js";
import { duration, fullTime } from "../pure/times.js";
import { Component, createRef, html } from "../view.js";
import { Icon } from "./icons.js";
import { lineCount } from "./status.js";

const HEIGHT = 96;
const DAY = 86_400;
const MIN_DRAG_PIXELS = 5;
const number = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact" });

/** Lines of each level in all bars. */
export function totals(histogram) {
  const sums = {};
  for (const { levels } of histogram?.buckets ?? []) {
    for (const [level, count] of Object.entries(levels)) sums[level] = (sums[level] ?? 0) + count;
  }
  return sums;
}

/** Columns for the chart: beginnings of bars, and for each level the sum of it and those below. */
export function stacked(histogram, levels) {
  const step = histogram.seconds;
  const first = Math.floor(histogram.from / 1000 / step) * step;
  const count = Math.max(1, Math.min(4000, Math.ceil((histogram.to / 1000 - first) / step)));
  const times = Array.from({ length: count }, (_, at) => first + at * step);
  const sums = levels.map(() => new Float64Array(count));
  for (const { at, levels: counts } of histogram.buckets) {
    const place = Math.floor((at / 1000 - first) / step);
    if (place < 0 || place >= count) continue;
    let sum = 0;
    levels.forEach((level, n) => {
      sum += counts[level] ?? 0;
      sums[n][place] += sum;
    });
  }
  return { times, sums, first, step, end: first + count * step };
}

/** Texts of an axis: the clock, and the day where it begins or nothing finer is shown. */
export function axisTexts(seconds, utc) {
  const days = seconds.length > 1 && seconds[1] - seconds[0] >= DAY;
  let before = "";
  return seconds.map((at) => {
    const [day, clock] = fullTime(at * 1000, utc).split(" ");
    const first = day !== before && (clock === "00:00:00" || days);
    before = day;
    return first ? day.slice(5) : clock.replace(/:00$/, "");
  });
}

export class Histogram extends Component {
  constructor(props) {
    super(props);
    this.box = createRef();
    this.tip = createRef();
  }

  componentDidMount() {
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.box.current);
    this.draw();
  }

  componentDidUpdate(before) {
    const names = ["histogram", "utc", "theme", "go"];
    if (names.some((name) => before[name] !== this.props[name])) this.draw();
  }

  componentWillUnmount() {
    this.observer.disconnect();
    this.chart?.destroy();
  }

  shouldComponentUpdate(next) {
    return Object.keys(next).some((name) => next[name] !== this.props[name]);
  }

  resize() {
    const width = this.box.current.clientWidth;
    if (!this.chart) this.draw();
    else if (width && Math.abs(width - this.chart.width) > 1) {
      this.chart.setSize({ width, height: HEIGHT });
    }
  }

  draw() {
    this.chart?.destroy();
    this.chart = null;
    const { histogram, utc } = this.props;
    const width = this.box.current.clientWidth;
    if (!histogram?.buckets.length || !width) return;
    const present = LEVELS.filter((level) => level in totals(histogram));
    const bars = stacked(histogram, present);
    this.bars = bars;
    const paths = globalThis.uPlot.paths.bars({ size: [0.86, 40], align: 1 });
    const fill = Object.fromEntries(present.map((level) => [level, this.color(`bar-${level}`)]));
    // The highest sum is painted first, the others over it.
    const order = present.map((level, at) => ({ level, sums: bars.sums[at] })).reverse();
    const faint = this.color("axis");
    this.chart = new globalThis.uPlot(
      {
        width,
        height: HEIGHT,
        legend: { show: false },
        padding: [8, 4, 0, 0],
        tzDate: utc ? (at) => globalThis.uPlot.tzDate(new Date(at * 1000), "Etc/UTC") : undefined,
        cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
        scales: {
          x: { time: true, range: () => [bars.first, bars.end] },
          y: { range: (_, __, most) => [0, Math.max(1, most * 1.04)] },
        },
        axes: [
          { stroke: faint, font: "11px system-ui, sans-serif", size: 22, gap: 3, values: (_, at) => axisTexts(at, utc), grid: { show: false }, ticks: { stroke: this.color("edge"), size: 4, width: 1 } },
          { stroke: faint, font: "11px system-ui, sans-serif", size: 44, gap: 4, space: 32, grid: { stroke: this.color("edge"), width: 1 }, ticks: { show: false }, values: (_, all) => all.map((value) => (Number.isInteger(value) ? compact.format(value) : "")) },
        ],
        series: [{}, ...order.map(({ level }) => ({ paths, fill: fill[level], width: 0, points: { show: false } }))],
        hooks: {
          setSelect: [(chart) => this.selected(chart)],
          setCursor: [(chart) => this.pointed(chart)],
          ready: [(chart) => chart.over.addEventListener("click", (event) => this.clicked(chart, event))],
        },
      },
      [bars.times, ...order.map(({ sums }) => sums)],
      this.box.current,
    );
  }

  // A canvas knows no custom properties, and these differ by theme.
  color(name) {
    const probe = document.createElement("i");
    probe.className = `probe ${name}`;
    this.box.current.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  selected(chart) {
    const { left, width } = chart.select;
    this.dragged = width >= MIN_DRAG_PIXELS;
    if (!this.dragged) return;
    const { first, step, end } = this.bars;
    const from = first + Math.floor((chart.posToVal(left, "x") - first) / step) * step;
    const to = first + Math.ceil((chart.posToVal(left + width, "x") - first) / step) * step;
    chart.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.look(Math.max(from, first), Math.min(to, end));
  }

  clicked(chart, event) {
    if (this.dragged) {
      this.dragged = false;
      return;
    }
    const { first, step } = this.bars;
    const left = event.clientX - chart.over.getBoundingClientRect().left;
    const from = first + Math.floor((chart.posToVal(left, "x") - first) / step) * step;
    this.look(from, from + step);
  }

  look(from, to) {
    const text = (seconds) => new Date(seconds * 1000).toISOString();
    this.props.go({ range: "", from: text(from), to: text(to), live: false });
  }

  pointed(chart) {
    const tip = this.tip.current;
    const { left } = chart.cursor;
    const { first, step } = this.bars;
    const at = left >= 0 ? first + Math.floor((chart.posToVal(left, "x") - first) / step) * step : NaN;
    const bucket = this.props.histogram.buckets.find((one) => Math.floor(one.at / 1000 / step) * step === at);
    tip.hidden = Number.isNaN(at);
    if (tip.hidden) return;
    const counts = LEVELS.filter((level) => bucket?.levels[level]).map((level) => `${level} ${number.format(bucket.levels[level])}`);
    tip.textContent = [`${fullTime(at * 1000, this.props.utc)}, ${duration(step)}`, ...(counts.length ? counts : ["no lines"])].join("\n");
    const place = left + chart.over.offsetLeft;
    const right = place > chart.width / 2;
    tip.style.left = right ? "auto" : `${place + 14}px`;
    tip.style.right = right ? `${chart.width - place + 14}px` : "auto";
  }

  render({ histogram, problem, busy, state, go, utc, hidden, levels }) {
    const sums = totals(histogram);
    const chosen = included(state, "level");
    const shown = LEVELS.filter((level) => sums[level] || chosen.includes(level) || levels[level]);
    const all = Object.values(sums).reduce((a, b) => a + b, 0);
    const parts = LEVELS.filter((level) => sums[level]).map((level) => `${level} ${number.format(sums[level])}`);
    const label = histogram ? `${lineCount(all)} by time: ${parts.join(", ")}` : "Lines by time";
    const width = this.bars ? (this.bars.end - this.bars.first) * 1000 : 0;
    const zoomOut = () => go({ range: "", live: false, ...wider(this.bars.first * 1000, this.bars.first * 1000 + width, Date.now()) });
    return html`<section class="histogram" aria-label="Lines over time" aria-busy=${busy} hidden=${hidden}>
      <div class="chart" ref=${this.box} role="img" aria-label=${label}><div class="tip" ref=${this.tip} hidden></div></div>
      ${problem && problem.status !== 401 && html`<p class="note chart-note">${problem.status === 400 ? "No counts over time for this query" : "No counts over time"}: ${problem.message}</p>`}
      ${histogram && !histogram.buckets.length && html`<p class="note chart-note">No lines in this time</p>`}
      <div class="legend">
        <div class="levels" role="group" aria-label="Levels">
        ${shown.map((level) => html`<button type="button" key=${level} class=${`legend-level${sums[level] ? "" : " absent"}`} aria-pressed=${chosen.includes(level)} title="Only this level, or with it" onClick=${() => go(toggled(state, "level", level))}>
          <span class="swatch bar-${level}"></span>${level} <span class="count">${compact.format(sums[level] ?? levels[level] ?? 0)}</span></button>`)}
        </div>
        ${histogram && !histogram.exact && html`<span class="note" title="The time for counting was over">counted ${histogram.countedFrom ? `since ${fullTime(Date.parse(histogram.countedFrom), utc)}` : "in part"}</span>`}
        ${histogram?.buckets.length > 0 && state.range !== "all" && html`<button type="button" class="plain small" onClick=${zoomOut}><${Icon} name="minus" />Wider</button>`}
      </div>
    </section>`;
  }
}
