// The page's few pictograms, drawn in the colour of the text beside them.

import { html } from "../view.js";

const PATHS = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10ZM10.7 10.7 14 14",
  clock: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 4.8V8l2.2 1.6",
  star: "m8 2 1.8 3.9 4.2.5-3.1 2.9.8 4.2L8 11.4l-3.7 2.1.8-4.2L2 6.4l4.2-.5Z",
  filter: "M2 4h12M4.5 8h7M6.5 12h3",
  download: "M8 2.5v7.5M4.8 7.2 8 10.4l3.2-3.2M3 13.2h10",
  columns: "M2.5 3h11v10h-11ZM6.2 3v10M9.8 3v10",
  wrap: "M2.5 3.5h11M2.5 8h8.2a2.2 2.2 0 0 1 0 4.4H7.5M9 10.6l-1.7 1.8L9 14.2M2.5 12.4h2",
  fold: "M3 8h10M8 1.8v3.6M6 3.8l2 2 2-2M8 14.2v-3.6M6 12.2l2-2 2 2",
  unfold: "M3 8h10M8 6V2.2M6 3.8l2-2 2 2M8 10v3.8M6 12.2l2 2 2-2",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1.2v1.6M8 13.2v1.6M1.2 8h1.6M13.2 8h1.6M3.2 3.2l1.1 1.1M11.7 11.7l1.1 1.1M3.2 12.8l1.1-1.1M11.7 4.3l1.1-1.1",
  moon: "M13.2 9.6A5.6 5.6 0 0 1 6.4 2.8a5.6 5.6 0 1 0 6.8 6.8Z",
  half: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM8 2v12M8 4.6l4.6-.2M8 7.4h6M8 10.2l5.2 1",
  help: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12ZM6.3 6.4a1.7 1.7 0 1 1 2.5 1.5c-.6.3-.8.6-.8 1.3M8 11.2v.2",
  close: "m4 4 8 8M12 4l-8 8",
  chevron: "m6 4 4 4-4 4",
  down: "m4 6.2 4 4 4-4",
  plus: "M8 3.5v9M3.5 8h9",
  minus: "M3.5 8h9",
  link: "M6.8 9.2a2.6 2.6 0 0 0 3.8 0l2.2-2.2A2.6 2.6 0 0 0 9 3.3l-.8.8M9.2 6.8a2.6 2.6 0 0 0-3.8 0L3.2 9A2.6 2.6 0 0 0 7 12.7l.8-.8",
  copy: "M5.5 5.5h8v8h-8ZM3.2 10.5h-.7v-8h8v.7",
  context: "M2.5 3h11M2.5 13h11M2.5 6.5h3M2.5 9.5h3M8 8h5.5",
  leave: "M6 2.5H3v11h3M10 5l3 3-3 3M6.5 8H13",
  warn: "M8 2.2 14.2 13H1.8ZM8 6.4v3M8 11.2v.2",
  good: "m3 8.4 3.4 3.4L13 4.8",
  logs: "M3 3.5h10M3 6.5h10M3 9.5h7M3 12.5h5",
  out: "M8 2.5v6M4.6 4.4a5 5 0 1 0 6.8 0",
  back: "M8 13.5v-9M4.6 7.6 8 4.2l3.4 3.4M3 2h10",
  key: "M5 13.5a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM7.3 8 13 2.4M10.6 4.8l2 2",
  refresh: "M13 8a5 5 0 1 1-1.5-3.6M13 2.4v2.8h-2.8",
};

/** A pictogram; what it means is said by the text or the label of its button. */
export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
    <path d=${PATHS[name]} fill="none" stroke="currentColor" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />
  </svg>`;
}
