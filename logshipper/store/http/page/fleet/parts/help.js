// The help: what can be searched for, and the keys.

import { html } from "../../view.js";
import { Dialog } from "./dialog.js";

const WORDS = [
  ["shop box1", "both words, in any case, anywhere: names, endpoints, images, tags, states"],
  ["-prod", "not this"],
];
const KEYS = [
  ["1 2 3 4 5", "to a view"],
  ["/", "to the words"],
  ["j k", "to the next row, to the one before"],
  ["g G", "to the first, to the last row"],
  ["enter o", "open the row, or close it"],
  ["l", "the logs of the row"],
  ["d", "drain what the row shows, or undrain it, with a question first"],
  ["esc", "leave what is open"],
  ["?", "this help"],
];

/** The dialog. */
export function Help({ onClose }) {
  return html`<${Dialog} kind="help" title="Help" onClose=${onClose}><div class="help-body" tabindex="0" data-first role="region" aria-label="Help">
    <section><h3>Words</h3><dl>${WORDS.map(([what, means]) => html`<dt><code>${what}</code></dt><dd>${means}</dd>`)}</dl></section>
    <section><h3>Keys</h3><dl>${KEYS.map(([keys, means]) => html`<dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${means}</dd>`)}</dl></section>
  </div><//>`;
}
