// A line's text: coloured, marked, every character of it seen, and never anything but text.

import { folded, pieces, size } from "../pure/text.js";
import { html } from "../view.js";

/** The text in pieces. */
export function Text({ text, marks }) {
  return pieces(text, marks).map((piece) => {
    if (piece.control !== undefined) {
      const code = `U+${piece.control.toString(16).toUpperCase().padStart(4, "0")}`;
      return html`<span class="control" title=${code}>${piece.text}</span>`;
    }
    const inner = piece.mark ? html`<mark>${piece.text}</mark>` : piece.text;
    return piece.style ? html`<span class=${piece.style.classes} style=${piece.style.properties}>${inner}</span>` : inner;
  });
}

/** A message, of which only the beginning is shown when it is long and not `full`. */
export function Message({ text, marks, full, onFull }) {
  const short = folded(text);
  if (!short) return html`<div class="message" dir="auto"><${Text} text=${text} marks=${marks} /></div>`;
  const what = short.lines > 1 ? `${short.lines} more lines` : `${size(short.characters)} more`;
  return html`<div class="message" dir="auto"><${Text} text=${full ? text : short.head} marks=${marks} />${!full && "…"}
    <button type="button" class="more-text" aria-expanded=${full} onClick=${onFull}>${full ? "show less" : `show all (${what})`}</button></div>`;
}
