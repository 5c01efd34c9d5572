// Colours of terminals (ECMA-48, SGR): from a text with escapes to runs of text with a style.

// eslint-disable-next-line no-control-regex
const SGR = /\x1b\[([0-9;:]{0,64})m/g;
const PALETTE_STEPS = [0, 95, 135, 175, 215, 255];
const SYSTEM = [
  "#1a2127", "#b3261e", "#2e7d32", "#8a5a00", "#1f5fbf", "#8e3a9d", "#1f6f8b", "#6d7a85",
  "#4a5762", "#d93025", "#3c9a40", "#b07a00", "#3b7de0", "#ad52bd", "#2a93b5", "#c5ced6",
].map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
// Of what a line may stand on, that which leaves least contrast: it is chosen.
const GROUNDS = { light: [226, 239, 244], dark: [26, 47, 57] };
const CONTRAST = 4.6;

/** The text without its colours, and runs of it: from, to, style (null for none). */
export function runs(text) {
  if (!text.includes("\x1b[")) return { plain: text, runs: [] };
  const found = [];
  let plain = "";
  let style = null;
  let at = 0;
  const take = (end) => {
    if (end > at) {
      if (style) found.push({ from: plain.length, to: plain.length + end - at, style });
      plain += text.slice(at, end);
    }
  };
  for (const match of text.matchAll(SGR)) {
    take(match.index);
    at = match.index + match[0].length;
    style = changed(style, match[1]);
  }
  take(text.length);
  return { plain, runs: found };
}

function changed(style, codes) {
  const numbers = codes.split(/[;:]/).map((code) => Number(code || 0));
  const next = { ...style };
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at];
    if (code === 0) for (const name of Object.keys(next)) delete next[name];
    else if (code === 1) next.bold = true;
    else if (code === 2) next.faint = true;
    else if (code === 3) next.italic = true;
    else if (code === 4) next.underline = true;
    else if (code === 7) next.inverse = true;
    else if (code === 9) next.struck = true;
    else if (code === 22) delete next.bold, delete next.faint;
    else if (code === 23) delete next.italic;
    else if (code === 24) delete next.underline;
    else if (code === 27) delete next.inverse;
    else if (code === 29) delete next.struck;
    else if (code === 39) delete next.color;
    else if (code === 49) delete next.ground;
    else if (code >= 30 && code <= 37) next.color = { index: code - 30 };
    else if (code >= 90 && code <= 97) next.color = { index: code - 82 };
    else if (code >= 40 && code <= 47) next.ground = { index: code - 40 };
    else if (code >= 100 && code <= 107) next.ground = { index: code - 92 };
    else if (code === 38 || code === 48) {
      const [color, used] = extended(numbers.slice(at + 1));
      at += used;
      if (color) next[code === 38 ? "color" : "ground"] = color;
    }
  }
  return Object.keys(next).length ? next : null;
}

function extended(rest) {
  const isByte = (number) => Number.isInteger(number) && number >= 0 && number <= 255;
  if (rest[0] === 5) return [isByte(rest[1]) ? { index: rest[1] } : null, 2];
  if (rest[0] !== 2) return [null, 0];
  const rgb = rest.slice(1, 4);
  return [rgb.length === 3 && rgb.every(isByte) ? { rgb } : null, 4];
}

/** Red, green and blue of a colour; the first sixteen are of our own choice. */
export function rgbOf(color) {
  if (color.rgb) return color.rgb;
  if (color.index < 16) return SYSTEM[color.index];
  if (color.index >= 232) return Array(3).fill(8 + 10 * (color.index - 232));
  const cube = color.index - 16;
  return [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map((n) => PALETTE_STEPS[n]);
}

function luminance([red, green, blue]) {
  const linear = [red, green, blue].map((byte) => {
    const part = byte / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

/** How far two colours are apart for the eye (WCAG 2.2, 1.4.3). */
export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** A colour like this one that can be read on a ground. */
export function readable(rgb, ground) {
  const towards = luminance(ground) > 0.18 ? 0 : 255;
  let made = rgb;
  for (let step = 1; contrast(made, ground) < CONTRAST && step <= 20; step += 1) {
    made = rgb.map((byte) => Math.round(byte + ((towards - byte) * step) / 20));
  }
  return made;
}

const css = (rgb) => `rgb(${rgb.join(" ")})`;
const known = new Map();

/** Classes and custom properties of a style, for either theme. */
export function appearance(style) {
  const key = JSON.stringify(style);
  const found = known.get(key);
  if (found) return found;
  if (known.size > 2000) known.clear();
  const names = ["bold", "faint", "italic", "underline", "struck", "inverse"];
  const classes = names.filter((name) => style[name]).map((name) => `ansi-${name}`);
  const properties = {};
  const ground = style.ground ? rgbOf(style.ground) : null;
  if (ground) {
    classes.push("ansi-ground");
    properties["--ansi-ground"] = css(ground);
  }
  if (style.color || ground) {
    // The first ones follow the theme; what stands on a ground of its own must fit that.
    classes.push("ansi-color");
    const given = style.color ? rgbOf(style.color) : null;
    for (const [theme, page] of Object.entries(GROUNDS)) {
      const under = ground ?? page;
      const color = given ?? (luminance(under) > 0.18 ? [0, 0, 0] : [255, 255, 255]);
      properties[`--ansi-${theme}`] = css(readable(color, under));
    }
  }
  const made = { classes: classes.join(" "), properties };
  known.set(key, made);
  return made;
}
