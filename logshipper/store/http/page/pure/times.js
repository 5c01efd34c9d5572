// Times as people read them, in their own zone or in UTC.

const RFC_3339 = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?/;
const two = (number) => String(number).padStart(2, "0");

/** A text by which times sort: nine digits of the second, whatever was written. */
export function sortKey(iso) {
  const found = RFC_3339.exec(iso);
  return found ? found[1] + (found[2] ?? "").padEnd(9, "0") : iso;
}

/** Milliseconds since 1970 of a line's time. */
export function milliseconds(iso) {
  const found = RFC_3339.exec(iso);
  return found ? Date.parse(`${found[1]}.${(found[2] ?? "").padEnd(3, "0").slice(0, 3)}Z`) : NaN;
}

function parts(at, utc) {
  const date = new Date(at);
  const get = (name) => (utc ? date[`getUTC${name}`]() : date[`get${name}`]());
  return {
    day: `${get("FullYear")}-${two(get("Month") + 1)}-${two(get("Date"))}`,
    clock: `${two(get("Hours"))}:${two(get("Minutes"))}:${two(get("Seconds"))}`,
  };
}

/** Day and clock of a line, with milliseconds: 11-26 07:31:54.123. */
export function lineTime(iso, utc) {
  const at = milliseconds(iso);
  if (Number.isNaN(at)) return iso;
  const { day, clock } = parts(at, utc);
  return `${day.slice(5)} ${clock}.${String(at % 1000).padStart(3, "0")}`;
}

/** A moment to the second, with its year. */
export function fullTime(at, utc) {
  if (Number.isNaN(at)) return "";
  const { day, clock } = parts(at, utc);
  return `${day} ${clock}`;
}

/** A span in few words: the day once where both ends are on it. */
export function spanText(from, to, utc) {
  const short = (text) => text.replace(/:00$/, "");
  if (from && !to) return `Since ${short(fullTime(Date.parse(from), utc))}`;
  if (!from) return `Until ${short(fullTime(Date.parse(to), utc))}`;
  const a = fullTime(Date.parse(from), utc);
  const b = fullTime(Date.parse(to), utc);
  const second = a.slice(0, 10) === b.slice(0, 10) ? b.slice(11) : b;
  return `${short(a)} – ${short(second)}`;
}

/** The zone that times are shown in: UTC, or UTC+01:00. */
export function zoneName(utc, at = Date.now()) {
  const minutes = utc ? 0 : -new Date(at).getTimezoneOffset();
  if (!minutes) return utc ? "UTC" : "UTC±00:00";
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? "−" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** What a datetime-local field shows for a moment. */
export function fieldText(iso, utc) {
  return iso ? fullTime(Date.parse(iso), utc).replace(" ", "T") : "";
}

/** The moment that a datetime-local field names, empty for none. */
export function fieldMoment(text, utc) {
  const at = text ? Date.parse(utc ? `${text}Z` : text) : NaN;
  return Number.isNaN(at) ? "" : new Date(at).toISOString();
}

/** How long, in the coarsest unit that says it: 3 days, 2 hours. */
export function duration(seconds) {
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [name, size] = units.find(([, each]) => seconds >= each) ?? units.at(-1);
  const count = Math.round(seconds / size);
  return `${count} ${name}${count === 1 ? "" : "s"}`;
}
