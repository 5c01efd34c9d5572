// Spans of time: quick and absolute ones, and how wide a bar of the histogram is in each.

export const QUICK = [
  ["5m", "5 minutes"],
  ["15m", "15 minutes"],
  ["1h", "1 hour"],
  ["6h", "6 hours"],
  ["24h", "24 hours"],
  ["7d", "7 days"],
  ["all", "All time"],
];

const UNIT_SECONDS = { m: 60, h: 3600, d: 86400 };
const UNIT_NAMES = { m: "minute", h: "hour", d: "day" };
const STEPS = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
];

/** Seconds of a relative range, 0 for all time and for anything else. */
export function rangeSeconds(range) {
  const found = /^(\d+)([mhd])$/.exec(range);
  return found ? Number(found[1]) * UNIT_SECONDS[found[2]] : 0;
}

/** The span that a state means at this moment; an end that is open is an empty text. */
export function span(state, now) {
  if (state.from || state.to) return { from: state.from, to: state.to };
  const seconds = rangeSeconds(state.range);
  return { from: seconds ? new Date(now - seconds * 1000).toISOString() : "", to: "" };
}

/** What a relative range is called. */
export function rangeName(range) {
  const found = /^(\d+)([mhd])$/.exec(range);
  if (!found) return "All time";
  return `Last ${found[1]} ${UNIT_NAMES[found[2]]}${found[1] === "1" ? "" : "s"}`;
}

/** Seconds of a bar, so that no more than `most` of them stand side by side. */
export function bucketSeconds(seconds, most) {
  return STEPS.find((step) => seconds / step <= most) ?? STEPS.at(-1);
}

/** A span twice as wide around the same middle, which does not end in the future. */
export function wider(from, to, now) {
  const half = (to - from) / 2;
  const end = Math.min(to + half, Math.max(now, to));
  return { from: new Date(end - 4 * half).toISOString(), to: new Date(end).toISOString() };
}
