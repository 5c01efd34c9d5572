// From a line's text to pieces that can be shown: coloured, marked, with nothing left invisible.

import { appearance, runs } from "./ansi.js";

// C0 but tab and newline, DEL and C1, and what turns or hides text: bidirectional controls
// (Unicode 16, 23.2), blanks without width, a byte order mark, halves of surrogate pairs.
const UNSEEN =
  // eslint-disable-next-line no-control-regex
  /[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const NAMES = new Map([
  [0xad, "SHY"], [0x61c, "ALM"], [0x200b, "ZWSP"], [0x200e, "LRM"], [0x200f, "RLM"],
  [0x2028, "LS"], [0x2029, "PS"], [0x202a, "LRE"], [0x202b, "RLE"], [0x202c, "PDF"],
  [0x202d, "LRO"], [0x202e, "RLO"], [0x2066, "LRI"], [0x2067, "RLI"], [0x2068, "FSI"],
  [0x2069, "PDI"], [0xfeff, "BOM"], [0x7f, "DEL"],
]);
const MARKED_CHARACTERS = 20_000;
const MAX_MARKED = 500;

/** What stands in a text for a character that cannot be seen. */
export function symbol(character) {
  const code = character.charCodeAt(0);
  // Unicode has a picture of each control character of ASCII.
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  return NAMES.get(code) ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** A text in which every character is seen: a name, in a title or where one is asked for a yes. */
export function visible(text) {
  return text.replace(UNSEEN, symbol).replace(/[\t\n]/g, symbol);
}

/** Where the expressions are found, in order, none over another. */
export function marked(plain, expressions) {
  const text = plain.length > MARKED_CHARACTERS ? plain.slice(0, MARKED_CHARACTERS) : plain;
  const found = [];
  for (const expression of expressions) {
    for (const match of text.matchAll(expression)) {
      if (match[0] && found.length < MAX_MARKED) {
        found.push({ from: match.index, to: match.index + match[0].length });
      }
    }
  }
  found.sort((a, b) => a.from - b.from || b.to - a.to);
  let end = 0;
  return found.filter((range) => {
    const apart = range.from >= end;
    if (apart) end = range.to;
    return apart;
  });
}

/**
 * The pieces of a text: `text`, and where they differ from plain text `style` (of a terminal),
 * `mark` (it was looked for) and `control` (the character that `text` stands for).
 */
export function pieces(raw, expressions = []) {
  const { plain, runs: styled } = runs(raw);
  const marks = expressions.length ? marked(plain, expressions) : [];
  const controls = [...plain.matchAll(UNSEEN)].map((match) => match.index);
  if (!styled.length && !marks.length && !controls.length) return [{ text: plain }];
  const cuts = new Set([0, plain.length]);
  for (const range of [...styled, ...marks]) cuts.add(range.from).add(range.to);
  for (const at of controls) cuts.add(at).add(at + 1);
  const edges = [...cuts].sort((a, b) => a - b);
  const made = [];
  let [run, mark, control] = [0, 0, 0];
  for (let n = 0; n + 1 < edges.length; n += 1) {
    const [from, to] = [edges[n], edges[n + 1]];
    while (styled[run] && styled[run].to <= from) run += 1;
    while (marks[mark] && marks[mark].to <= from) mark += 1;
    while (controls[control] < from) control += 1;
    const piece = { text: plain.slice(from, to) };
    if (styled[run]?.from <= from) piece.style = appearance(styled[run].style);
    if (marks[mark]?.from <= from) piece.mark = true;
    if (controls[control] === from) {
      piece.control = piece.text.charCodeAt(0);
      piece.text = symbol(piece.text);
    }
    made.push(piece);
  }
  return made;
}

export const FOLDED_LINES = 6;
const FOLDED_CHARACTERS = 1500;
const BEYOND_LINES = 3;

/** The beginning of a long text that is shown at first, and what is left of it; null if short. */
export function folded(text) {
  let end = -1;
  for (let line = 0; line < FOLDED_LINES && end < FOLDED_CHARACTERS; line += 1) {
    end = text.indexOf("\n", end + 1);
    if (end < 0) break;
  }
  if (end < 0 || end > FOLDED_CHARACTERS) {
    if (text.length <= FOLDED_CHARACTERS * 1.2) return null;
    end = FOLDED_CHARACTERS;
  }
  const more = text.slice(end);
  const lines = more.length > 1 ? more.trimEnd().split("\n", 10_001).length - 1 : 0;
  // To fold away less than the button takes would only cost a click.
  if (lines < BEYOND_LINES && more.length < FOLDED_CHARACTERS / 5) return null;
  const cut = /[\ud800-\udbff]$/.test(text.slice(0, end)) ? end - 1 : end;
  return { head: text.slice(0, cut), lines, characters: text.length - cut };
}

/** A JSON object or array in the text, set out over lines; null for any other text. */
export function prettyJson(text) {
  const trimmed = text.trim();
  if (!/^[[{]/.test(trimmed) || trimmed.length > 300_000) return null;
  try {
    const value = JSON.parse(trimmed);
    return value && typeof value === "object" ? JSON.stringify(value, null, 2) : null;
  } catch {
    return null;
  }
}

/** A count of characters in few digits. */
export function size(characters) {
  if (characters < 1000) return `${characters} characters`;
  if (characters < 1_000_000) return `${Math.round(characters / 1000)} KB`;
  return `${(characters / 1_000_000).toFixed(1)} MB`;
}
