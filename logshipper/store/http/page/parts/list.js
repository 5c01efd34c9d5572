// The list of lines.

import { Component, createRef, html } from "../view.js";
import { Row } from "./row.js";
import { Scroll } from "./scroll.js";

const ESTIMATE = 23;
const idOf = (entry) => entry.lines[0].id;

/** Whether text of a line is marked, for instance with the mouse. */
export function isMarking() {
  const { isCollapsed, anchorNode } = getSelection() ?? { isCollapsed: true };
  const element = anchorNode?.nodeType === Node.ELEMENT_NODE ? anchorNode : anchorNode?.parentElement;
  return !isCollapsed && Boolean(element?.closest(".entry"));
}

export class List extends Component {
  scroll = createRef();

  /** Brings an entry into sight and gives it the focus. */
  reveal(entry) {
    this.scroll.current.reveal(entry);
  }

  /** To the newest or to the oldest line that is loaded. */
  jump(toEnd) {
    this.scroll.current.jump(toEnd);
  }

  render({ lines, more, selected, marks, utc, wrap, columns, act, busy, onEnd, onTop, foot }) {
    const { entries } = lines;
    const size = more ? -1 : entries.length;
    const grid = `1.25rem 18.5ch 5.5ch 8.5rem ${columns.map(() => "9rem").join(" ")} minmax(0, 1fr)`;
    const show = (entry, at) => html`<${Row} key=${entry.key} entry=${entry} revision=${entry.revision} selected=${entry === selected} focusable=${selected ? entry === selected : at === 0} marks=${marks} utc=${utc} columns=${columns} wrap=${wrap} act=${act} position=${at + 1} size=${size} />`;
    return html`<${Scroll} ref=${this.scroll} rows=${entries} source=${lines} forms=${[wrap, columns, utc]} estimate=${ESTIMATE} idOf=${idOf} show=${show} label="Lines, newest first" busy=${busy} kind=${wrap ? "" : " nowrap"} grid=${grid} onEnd=${onEnd} onTop=${onTop} foot=${foot} />`;
  }
}
