// The fields of a line, as columns and details show them, and conditions on them.

import { excluded, isFieldName, terms, withTerm, withoutTerm } from "./query.js";
import { FACETS } from "./url.js";

export const LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "unknown"];
const MAX_FIELDS = 200;
const MAX_DEPTH = 4;

/** A level that the page has a colour for. */
export function levelOf(hit) {
  return LEVELS.includes(hit.level) ? hit.level : "unknown";
}

/** A value as text. */
export function valueText(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** What a line has under a name; dots step into objects. */
export function fieldOf(hit, name) {
  if (Object.hasOwn(hit, name)) return valueText(hit[name]);
  let value = hit;
  for (const part of name.split(".")) {
    if (value === null || typeof value !== "object" || !Object.hasOwn(value, part)) return "";
    value = value[part];
  }
  return valueText(value);
}

/** Names and values of a line but its message, objects set out with dots. */
export function fieldsOf(hit) {
  const found = [];
  const add = (name, value, depth) => {
    if (found.length >= MAX_FIELDS) return;
    const steps = value && typeof value === "object" && !Array.isArray(value);
    if (steps && depth < MAX_DEPTH && Object.keys(value).length) {
      for (const [key, inner] of Object.entries(value)) add(`${name}.${key}`, inner, depth + 1);
    } else found.push({ name, value: valueText(value), scalar: !steps && !Array.isArray(value) });
  };
  for (const [name, value] of Object.entries(hit)) if (name !== "message") add(name, value, 1);
  return found;
}

/** Whether the query language can ask for this value of this field. */
export function canFilter({ name, value, scalar }) {
  if (["id", "time"].includes(name) || !scalar || !value || value.length > 200) return false;
  return FACETS.includes(name) || (isFieldName(name) && !/[\n\r\0]/.test(value));
}

/** The values of a field that must be, whether chosen beside the query or in it. */
export function included(state, name) {
  const said = terms(state.q).filter((term) => term.name === name && !term.negated);
  return [...new Set([...state[name], ...said.map((term) => term.value)])];
}

/** The change of the state that takes a value in, or no longer. */
export function toggled(state, name, value) {
  const q = withoutTerm(state.q, name, value, true);
  if (!included(state, name).includes(value)) return { q, [name]: [...state[name], value] };
  return {
    q: withoutTerm(q, name, value, false),
    [name]: state[name].filter((one) => one !== value),
  };
}

/** The change of the state that leaves a value out, or no longer. */
export function toggledOut(state, name, value) {
  const isOut = excluded(state.q, name).includes(value);
  const q = isOut ? withoutTerm(state.q, name, value, true) : withTerm(state.q, name, value, true);
  if (!FACETS.includes(name)) return { q };
  return { q, [name]: state[name].filter((one) => one !== value) };
}

/** The change of the state that leaves only lines with this value. */
export function only(state, name, value) {
  if (FACETS.includes(name)) {
    return { [name]: [value], q: withoutTerm(state.q, name, value, true) };
  }
  return { q: withTerm(state.q, name, value, false) };
}
