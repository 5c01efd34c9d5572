// Counts of a question's lines: by time and level, and by the values of each field.

import { bucketSeconds, span } from "../pure/ranges.js";
import { milliseconds } from "../pure/times.js";
import { conditions, FACETS, question } from "../pure/url.js";
import { ask } from "./api.js";

/** Asks for the counts of one question after another; `changed` is told of each answer. */
export class Counts {
  constructor(changed) {
    this.changed = changed;
    this.of = ""; // the question that was counted
    this.histogram = null;
    this.fields = {};
    this.problem = null;
    this.fieldsProblem = null;
    this.busy = false;
    this.asking = null;
  }

  /** Counts for a state, in at most `most` bars; what was known stays until the answer. */
  async show(state, most) {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    this.busy = true;
    this.changed();
    const began = performance.now();
    const [histogram, fields] = await Promise.allSettled([
      this.bars(state, most, signal),
      this.values(state, signal),
    ]);
    if (signal.aborted) return Infinity;
    this.busy = false;
    this.of = question(state);
    this.histogram = histogram.value ?? null;
    this.problem = histogram.reason ?? null;
    if (fields.value) this.fields = fields.value;
    this.fieldsProblem = fields.reason ?? null;
    this.changed();
    return performance.now() - began;
  }

  async bars(state, most, signal) {
    const now = Date.now();
    const wanted = span(state, now);
    const from = wanted.from ? Date.parse(wanted.from) : NaN;
    const to = wanted.to ? Date.parse(wanted.to) : now;
    if (Number.isNaN(from)) return this.extent(state, wanted, most, signal);
    const seconds = bucketSeconds((to - from) / 1000, most);
    return this.buckets(state, wanted, from, to, seconds, signal);
  }

  // The bars of all time begin with the first line that fits.
  async extent(state, wanted, most, signal) {
    const asked = conditions(state, wanted);
    asked.set("order", "oldest");
    asked.set("limit", 1);
    const { hits } = await ask(`/api/search?${asked}`, signal);
    const to = wanted.to ? Date.parse(wanted.to) : Date.now();
    if (!hits.length) return { seconds: 1, buckets: [], from: NaN, to: NaN, exact: true };
    const from = milliseconds(hits[0].time);
    const named = { from: new Date(from).toISOString(), to: wanted.to };
    const seconds = bucketSeconds((to - from) / 1000, most);
    return this.buckets(state, named, from, to, seconds, signal);
  }

  async buckets(state, wanted, from, to, seconds, signal) {
    const asked = conditions(state, wanted);
    asked.set("bucket_seconds", seconds);
    const answer = await ask(`/api/histogram?${asked}`, signal);
    const buckets = answer.buckets.map(({ time, levels }) => ({ at: Date.parse(time), levels }));
    return {
      seconds: answer.bucket_seconds,
      buckets,
      from,
      to,
      exact: answer.exact !== false,
      countedFrom: answer.counted_from ?? "",
    };
  }

  // The values of a field that has conditions are counted without these: otherwise none but the
  // chosen ones could be seen, and no second one chosen.
  async values(state, signal) {
    const wanted = span(state, Date.now());
    const chosen = FACETS.filter((name) => state[name].length);
    const [all, ...others] = await Promise.all([
      ask(`/api/fields?${conditions(state, wanted)}`, signal),
      ...chosen.map((name) => ask(`/api/fields?${conditions(state, wanted, name)}`, signal)),
    ]);
    const free = chosen.map((name, at) => [name, others[at][name] ?? {}]);
    return { ...all, ...Object.fromEntries(free) };
  }
}
