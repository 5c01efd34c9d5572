// The list of lines: only those in sight are in the document, whatever the height of each.

import { Heights } from "../pure/heights.js";
import { Component, createRef, html } from "../view.js";
import { Row } from "./row.js";

const ESTIMATE = 23;
const BEYOND_PIXELS = 500;
const AHEAD_ROWS = 80;
const AT_TOP_PIXELS = 4;

/** Whether text of a line is marked, for instance with the mouse. */
export function isMarking() {
  const { isCollapsed, anchorNode } = getSelection() ?? { isCollapsed: true };
  const element = anchorNode?.nodeType === Node.ELEMENT_NODE ? anchorNode : anchorNode?.parentElement;
  return !isCollapsed && Boolean(element?.closest(".entry"));
}

export class List extends Component {
  constructor(props) {
    super(props);
    this.scroller = createRef();
    this.rows = createRef();
    this.heights = new Heights(ESTIMATE);
    this.anchor = null; // the first entry in sight, and how far it is scrolled out
    this.state = { first: 0, last: 0 };
    this.wanted = null; // the entry that takes the focus as soon as it is there
  }

  componentDidMount() {
    this.width = this.scroller.current.clientWidth;
    this.observer = new ResizeObserver(() => this.resized());
    this.observer.observe(this.scroller.current);
    this.place();
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  resized() {
    const { clientWidth } = this.scroller.current;
    if (Math.abs(clientWidth - this.width) > 1) this.forgetHeights();
    this.width = clientWidth;
    this.place();
  }

  forgetHeights() {
    for (const entry of this.props.lines.entries) entry.height = 0;
  }

  componentWillReceiveProps(next) {
    const { props } = this;
    if (next.lines !== props.lines) {
      this.anchor = null;
      this.toTop = true;
    }
    const names = ["wrap", "columns", "utc"];
    if (names.some((name) => next[name] !== props[name])) {
      for (const entry of next.lines.entries) entry.height = 0;
    }
  }

  componentDidUpdate() {
    if (this.toTop) {
      this.scroller.current.scrollTop = 0;
      this.toTop = false;
    }
    this.place();
    this.giveFocus();
  }

  /** Measures what is there, keeps the first line in sight where it is, fills the window. */
  place() {
    const { entries } = this.props.lines;
    const scroller = this.scroller.current;
    this.heights.rebuild(entries);
    this.space();
    if (this.measure()) {
      this.heights.rebuild(entries);
      this.space();
    }
    const kept = this.anchor && entries[this.anchor.entry.at] === this.anchor.entry;
    const top = kept ? this.heights.offset(this.anchor.entry.at) + this.anchor.beyond : scroller.scrollTop;
    const first = this.heights.find(top - BEYOND_PIXELS);
    const last = Math.min(entries.length, this.heights.find(top + scroller.clientHeight + BEYOND_PIXELS) + 1);
    if (Math.abs(scroller.scrollTop - top) >= 1) scroller.scrollTop = top;
    if (this.needs(first, last)) this.setState({ first, last });
    else if (this.state.last >= entries.length - AHEAD_ROWS) this.props.onEnd();
  }

  // Half of what is kept beyond the window may go by before anything is made anew.
  needs(first, last) {
    const { entries } = this.props.lines;
    const { state } = this;
    if (state.last > entries.length || last - first > state.last - state.first) return true;
    // At either end there is nothing beyond that could stand in for what is missing.
    if ((first === 0 && state.first > 0) || (last === entries.length && state.last < last)) return true;
    const slack = Math.floor((last - first) / 6);
    return first < state.first - slack || last > state.last + slack || state.first > last || state.last < first;
  }

  measure() {
    let changed = false;
    for (const element of this.rows.current.children) {
      const entry = this.shown.get(element.dataset.id);
      const { height } = element.getBoundingClientRect();
      if (entry && height && Math.abs(height - entry.height) > 0.1) {
        entry.height = height;
        changed = true;
      }
    }
    return changed;
  }

  space() {
    const { style } = this.rows.current;
    const { first, last } = this.state;
    style.paddingTop = `${this.heights.offset(first)}px`;
    style.paddingBottom = `${Math.max(0, this.heights.total - this.heights.offset(last))}px`;
  }

  scrolled() {
    const { entries } = this.props.lines;
    const { scrollTop } = this.scroller.current;
    if (this.heights.length !== entries.length) this.heights.rebuild(entries);
    const at = this.heights.find(scrollTop);
    const atTop = scrollTop <= AT_TOP_PIXELS;
    this.anchor = atTop || !entries[at] ? null : { entry: entries[at], beyond: scrollTop - this.heights.offset(at) };
    if (atTop !== this.atTop) {
      this.atTop = atTop;
      this.props.onTop(atTop);
    }
    this.place();
  }

  /** Brings an entry into sight and gives it the focus. */
  reveal(entry) {
    const scroller = this.scroller.current;
    this.heights.rebuild(this.props.lines.entries);
    const top = this.heights.offset(entry.at);
    const bottom = this.heights.offset(entry.at + 1);
    let to = scroller.scrollTop;
    if (top < to) to = top;
    else if (bottom > to + scroller.clientHeight) to = Math.min(top, bottom - scroller.clientHeight);
    if (to !== scroller.scrollTop) {
      this.anchor = null;
      scroller.scrollTop = to;
      this.scrolled();
    }
    this.wanted = entry;
    this.forceUpdate();
  }

  /** To the newest or to the oldest line that is loaded. */
  jump(toEnd) {
    this.anchor = null;
    const scroller = this.scroller.current;
    scroller.scrollTop = toEnd ? scroller.scrollHeight : 0;
    this.scrolled();
  }

  giveFocus() {
    const element = this.wanted && this.elementOf(this.wanted);
    if (!element) return;
    this.wanted = null;
    element.focus({ preventScroll: true });
    const outside = element.getBoundingClientRect().bottom - this.scroller.current.getBoundingClientRect().bottom;
    if (outside > 0 && element.clientHeight < this.scroller.current.clientHeight) this.scroller.current.scrollTop += outside;
  }

  elementOf(entry) {
    return [...this.rows.current.children].find((each) => this.shown.get(each.dataset.id) === entry);
  }

  render({ lines, more, selected, marks, utc, wrap, columns, act, busy, foot }, { first, last }) {
    const { entries } = lines;
    const size = more ? -1 : entries.length;
    const shown = entries.slice(first, Math.min(last, entries.length));
    this.shown = new Map(shown.map((entry) => [entry.lines[0].id, entry]));
    const grid = `1.25rem 18.5ch 5.5ch 8.5rem ${columns.map(() => "9rem").join(" ")} minmax(0, 1fr)`;
    return html`<div class=${`scroller${wrap ? "" : " nowrap"}`} ref=${this.scroller} tabindex="-1" onScroll=${() => this.scrolled()}>
      <div class="rows" ref=${this.rows} role="list" aria-label="Lines, newest first" aria-busy=${busy} style=${{ "--grid": grid }}>
        ${shown.map((entry, at) => html`<${Row} key=${entry.key} entry=${entry} revision=${entry.revision} selected=${entry === selected} focusable=${selected ? entry === selected : first + at === 0} marks=${marks} utc=${utc} columns=${columns} wrap=${wrap} act=${act} position=${first + at + 1} size=${size} />`)}
      </div>
      ${foot}
    </div>`;
  }
}
