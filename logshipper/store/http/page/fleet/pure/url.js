// The fleet page's whole state, and how it stands in the address.

export const VIEWS = ["overview", "services", "hosts", "events", "releases"];
export const LISTS = ["app", "env", "host", "state", "risk", "daemon", "level"];
const SORTS = {
  services: ["name", "risk", "instances", "hosts", "changed"],
  hosts: ["risk", "name", "instances"],
  releases: ["changed", "name"],
};
const MAX_OPEN = 60;
const ALL = "*";

/** What a view can be sorted by, the first of them unless told. */
export function sortsOf(view) {
  return SORTS[view] ?? [];
}

/** The state that an address names; what it does not understand is left out. */
export function parse(search) {
  const given = new URLSearchParams(search);
  const view = VIEWS.includes(given.get("view")) ? given.get("view") : VIEWS[0];
  const sorts = sortsOf(view);
  const lists = LISTS.map((name) => [name, unique(given.getAll(name))]);
  return {
    view,
    q: given.get("q") ?? "",
    ...Object.fromEntries(lists),
    sort: sorts.includes(given.get("sort")) ? given.get("sort") : (sorts[0] ?? ""),
    open: unique(given.getAll("open")).slice(0, MAX_OPEN),
    closed: unique(given.getAll("closed")).slice(0, MAX_OPEN),
    live: given.get("live") !== "0",
    order: given.get("order") ?? "",
  };
}

/** The address of a state: only what it would not be taken for anyway. */
export function format(state) {
  const said = new URLSearchParams();
  if (state.view !== VIEWS[0]) said.set("view", state.view);
  if (state.q) said.set("q", state.q);
  for (const name of LISTS) for (const value of state[name]) said.append(name, value);
  if (state.sort && state.sort !== sortsOf(state.view)[0]) said.set("sort", state.sort);
  for (const key of state.open.slice(0, MAX_OPEN)) said.append("open", key);
  for (const key of state.closed.slice(0, MAX_OPEN)) said.append("closed", key);
  if (!state.live) said.set("live", "0");
  if (state.order) said.set("order", state.order);
  const text = String(said);
  return text ? `/fleet?${text}` : "/fleet";
}

/** The state of a view with nothing chosen in it, but what `changes` say. */
export function fresh(view, changes = {}) {
  return { ...parse(`?view=${view}`), ...changes };
}

/** Whether something is chosen that leaves rows out. */
export function isNarrowed(state) {
  return Boolean(state.q.trim()) || LISTS.some((name) => state[name].length > 0);
}

/** The change of the state that chooses nothing. */
export function widened() {
  return { q: "", ...Object.fromEntries(LISTS.map((name) => [name, []])) };
}

/** The change of the state that takes a value in, or no longer. */
export function toggled(state, name, value) {
  const held = state[name];
  return { [name]: held.includes(value) ? held.filter((one) => one !== value) : [...held, value] };
}

/** Whether a row is opened. */
export function isOpen(state, key) {
  return state.open.includes(key) || (state.open.includes(ALL) && !state.closed.includes(key));
}

/** The change of the state that opens a row, or closes it. */
export function flipped(state, key) {
  const without = (held) => held.filter((one) => one !== key);
  const [open, closed] = [without(state.open), without(state.closed)];
  if (isOpen(state, key)) return { open, closed: open.includes(ALL) ? [...closed, key] : closed };
  return { open: open.includes(ALL) ? open : [...open, key], closed };
}

/** The change of the state that opens all rows, or closes them. */
export function flippedAll(state) {
  return { open: state.open.includes(ALL) ? [] : [ALL], closed: [] };
}

/** The address of the log page for what is chosen here: nothing but conditions that it knows. */
export function logs(conditions) {
  const asked = new URLSearchParams();
  for (const [name, values] of Object.entries(conditions)) {
    for (const value of [values].flat()) if (value) asked.append(name, value);
  }
  const text = String(asked);
  return text ? `/?${text}` : "/";
}

/** The conditions that a line meets which an instance, a service or a host has written. */
export function logsOf({ app, env, host, container }) {
  return container ? { app, env, container } : { app, env, host };
}

/** The title of a state, as a tab shows it. */
export function title(state, wrong, live) {
  const named = state.view === VIEWS[0] ? "Fleet" : `${state.view[0].toUpperCase()}${state.view.slice(1)} · Fleet`;
  const said = [state.q, ...state.app, ...state.env, ...state.host].filter(Boolean).join(" ");
  const count = wrong ? `(${wrong}) ` : "";
  return (live ? count : "not live: ") + (said ? `${said.slice(0, 60)} · ${named}` : named);
}

function unique(values) {
  return [...new Set(values.map((value) => value.trim()).filter(Boolean))];
}
