// The query language as far as the page needs it: terms to add, to take out and to highlight.
// The store's own parser decides what a query means (logshipper/store/query/language.py).

const FIELD = /^[A-Za-z_@][A-Za-z0-9_.@-]{0,63}/;
const PHRASE = /^"(?:[^"\\]|\\.)*"/s;
const REGEX = /^\/((?:[^/\\]|\\.|\/(?=\S))+)\/(?=\s|$)/s;
const PLAIN_VALUE = /^[^\s"/:*-][^\s"*]*$/;
const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const MAX_MARKS = 16;

/** The terms of a query in their order: source, name, value, quote, negated. */
export function terms(query) {
  const found = [];
  let at = 0;
  while (at < query.length) {
    if (/\s/.test(query[at])) {
      at += 1;
      continue;
    }
    const start = at;
    const negated = query[at] === "-" && /\S/.test(query[at + 1] ?? " ");
    if (negated) at += 1;
    let name = "";
    const field = FIELD.exec(query.slice(at));
    const rest = field ? query.slice(at + field[0].length + 1) : "";
    if (field && query[at + field[0].length] === ":" && /^[^\s:]/.test(rest) && !rest.startsWith("//")) {
      name = field[0];
      at += name.length + 1;
    }
    const left = query.slice(at);
    const quoted = PHRASE.exec(left);
    const regex = quoted ? null : REGEX.exec(left);
    const body = (quoted ?? regex ?? /^\S+/.exec(left) ?? [left])[0];
    at += Math.max(body.length, 1);
    const value = quoted ? unquote(body) : regex ? regex[1].replaceAll("\\/", "/") : body;
    const quote = quoted ? '"' : regex ? "/" : "";
    found.push({ source: query.slice(start, at), name, value, quote, negated });
  }
  return found;
}

/** A value as a term holds it: in quotes where it needs them. */
export function quote(value) {
  return PLAIN_VALUE.test(value) ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

function unquote(text) {
  return text.slice(1, -1).replace(/\\([\\"])/g, "$1");
}

/** Whether the language has a term for a field of this name. */
export function isFieldName(name) {
  return FIELD.exec(name)?.[0] === name;
}

/** A query with a condition on a field; the opposite condition goes. */
export function withTerm(query, name, value, negated) {
  const term = `${negated ? "-" : ""}${name ? `${name}:` : ""}${quote(value)}`;
  const kept = withoutTerm(withoutTerm(query, name, value, !negated), name, value, negated);
  return [kept, term].filter(Boolean).join(" ");
}

/** A query without a condition. */
export function withoutTerm(query, name, value, negated) {
  const is = (term) => term.name === name && term.value === value && term.negated === negated;
  return terms(query).filter((term) => !is(term)).map((term) => term.source).join(" ");
}

/** The values of a field that a query leaves out. */
export function excluded(query, name) {
  return terms(query).filter((t) => t.name === name && t.negated).map((t) => t.value);
}

/** Expressions that find in a line's text what the query asked for. */
export function marks(query) {
  const made = [];
  for (const term of terms(query)) {
    if (term.negated || (term.name && term.name !== "message")) continue;
    const found = term.quote === "/" ? mildRegex(term.value) : literal(term);
    if (found && made.length < MAX_MARKS) made.push(found);
  }
  return made;
}

function literal(term) {
  const prefix = !term.quote && term.value.length > 1 && term.value.endsWith("*");
  const words = (prefix ? term.value.slice(0, -1) : term.value).trim().split(/\s+/);
  const text = words.map((word) => word.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&")).join("\\s+");
  if (!words[0]) return null;
  const bordered = (character) => /[\p{L}\p{N}]/u.test(character) && !UNSPACED.test(character);
  const before = bordered([...words[0]][0]) ? "(?<![\\p{L}\\p{N}])" : "";
  const after = bordered([...words.at(-1)].at(-1)) && !prefix ? "(?![\\p{L}\\p{N}])" : "";
  return compiled(before + text + after, "giu");
}

// The store ran the expression within a limit of time; here there is none, so an expression
// that could take long on some line marks nothing.
function mildRegex(pattern) {
  const unbounded = pattern.match(/[*+]|\{\d+,\}/g)?.length ?? 0;
  const nested = /\)[*+{]|\\\d|\(\?P?[<=]/.test(pattern);
  return unbounded > 2 || nested || pattern.length > 200 ? null : compiled(pattern, "gm");
}

function compiled(source, flags) {
  try {
    return new RegExp(source, flags);
  } catch {
    // Python's expressions are not all JavaScript's: such a line is shown without marks.
    return null;
  }
}
