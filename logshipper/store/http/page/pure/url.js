// The page's whole state, and how it stands in the address.

export const FACETS = ["level", "app", "env", "host", "container", "stream"];
const FIRST_RANGE = "24h";
const RANGE = /^(?:[1-9]\d{0,4}[mhd]|all)$/;
const MAX_COLUMNS = 8;

/** The state that an address names; what it does not understand is left out. */
export function parse(search) {
  const given = new URLSearchParams(search);
  const lists = FACETS.map((name) => [name, unique(given.getAll(name))]);
  const from = moment(given.get("from"));
  const to = moment(given.get("to"));
  const asked = { q: given.get("q") ?? "", ...Object.fromEntries(lists) };
  const range = RANGE.test(given.get("range") ?? "") ? given.get("range") : impliedRange(asked);
  return {
    ...asked,
    range: from || to ? "" : range,
    from,
    to,
    live: given.get("live") === "1",
    columns: unique((given.get("cols") ?? "").split(",")).slice(0, MAX_COLUMNS),
    id: given.get("id") ?? "",
  };
}

// Whoever writes /?q=word means that word, however old it is; the bare page shows what is new.
function impliedRange(asked) {
  return asked.q || FACETS.some((name) => asked[name].length) ? "all" : FIRST_RANGE;
}

/** The address of a state: only what it would not be taken for anyway. */
export function format(state) {
  const said = new URLSearchParams();
  if (state.q) said.set("q", state.q);
  for (const name of FACETS) for (const value of state[name]) said.append(name, value);
  if (state.range && state.range !== impliedRange(state)) said.set("range", state.range);
  if (state.from) said.set("from", state.from);
  if (state.to) said.set("to", state.to);
  if (state.live) said.set("live", "1");
  if (state.columns.length) said.set("cols", state.columns.join(","));
  if (state.id) said.set("id", state.id);
  const text = String(said);
  return text ? `/?${text}` : "/";
}

/** What a state asks for, whatever of it is shown and however. */
export function question(state) {
  return format({ ...state, live: false, columns: [], id: "" });
}

/** The conditions of a state as the API takes them, beside a span of time. */
export function conditions(state, span = {}, without = "") {
  const asked = new URLSearchParams();
  if (state.q) asked.set("q", state.q);
  for (const name of FACETS) {
    if (name !== without) for (const value of state[name]) asked.append(name, value);
  }
  if (span.from) asked.set("from", span.from);
  if (span.to) asked.set("to", span.to);
  return asked;
}

/** The title of a state, as a tab shows it. */
export function title(state) {
  const said = [state.q, ...state.level, ...state.app, ...state.env, ...state.host];
  const text = said.filter(Boolean).join(" ").slice(0, 80);
  return (state.live ? "● " : "") + (text ? `${text} · Logs` : "Logs");
}

function unique(values) {
  return [...new Set(values.map((value) => value.trim()).filter(Boolean))];
}

// A link that names a time in another zone is as good as one in UTC.
function moment(text) {
  const at = Date.parse((text ?? "").replace(" ", "+"));
  return Number.isNaN(at) ? "" : new Date(at).toISOString();
}
