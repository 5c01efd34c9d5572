// A long list: only rows in sight are in the document, whatever the height of each.

import { Heights } from "../pure/heights.js";
import { Component, createRef, html } from "../view.js";

const BEYOND_PIXELS = 500;
const AHEAD_ROWS = 80;
const AT_TOP_PIXELS = 4;

/**
 * The list. `rows` are objects that keep their heights, `idOf` names each; `show(row, at)` makes
 * its element, which has the name as `data-id`. Another `source` is another list, which begins at
 * its top; when one of `forms` changes, heights are no longer what they were.
 */
export class Scroll extends Component {
  constructor(props) {
    super(props);
    this.scroller = createRef();
    this.rows = createRef();
    this.heights = new Heights(props.estimate);
    this.anchor = null; // the first row in sight, and how far it is scrolled out
    this.state = { first: 0, last: 0 };
    this.wanted = null; // the row that takes the focus as soon as it is there
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
    if (Math.abs(clientWidth - this.width) > 1) this.forgetHeights(this.props.rows);
    this.width = clientWidth;
    this.place();
  }

  forgetHeights(rows) {
    for (const row of rows) row.height = 0;
  }

  componentWillReceiveProps(next) {
    const { props } = this;
    if (next.source !== props.source) {
      this.anchor = null;
      this.toTop = true;
    }
    if (next.forms.some((form, at) => form !== props.forms[at])) this.forgetHeights(next.rows);
  }

  componentDidUpdate() {
    if (this.toTop) {
      this.scroller.current.scrollTop = 0;
      this.toTop = false;
    }
    this.place();
    this.giveFocus();
  }

  /** Measures what is there, keeps the first row in sight where it is, fills the window. */
  place() {
    const { rows } = this.props;
    const scroller = this.scroller.current;
    this.heights.rebuild(rows);
    this.space();
    if (this.measure()) {
      this.heights.rebuild(rows);
      this.space();
    }
    const kept = this.anchor && rows[this.anchor.row.at] === this.anchor.row;
    const top = kept ? this.heights.offset(this.anchor.row.at) + this.anchor.beyond : scroller.scrollTop;
    const first = this.heights.find(top - BEYOND_PIXELS);
    const last = Math.min(rows.length, this.heights.find(top + scroller.clientHeight + BEYOND_PIXELS) + 1);
    if (Math.abs(scroller.scrollTop - top) >= 1) scroller.scrollTop = top;
    if (this.needs(first, last)) this.setState({ first, last });
    else if (this.state.last >= rows.length - AHEAD_ROWS) this.props.onEnd?.();
  }

  // Half of what is kept beyond the window may go by before anything is made anew.
  needs(first, last) {
    const { rows } = this.props;
    const { state } = this;
    if (state.last > rows.length || last - first > state.last - state.first) return true;
    // At either end there is nothing beyond that could stand in for what is missing.
    if ((first === 0 && state.first > 0) || (last === rows.length && state.last < last)) return true;
    const slack = Math.floor((last - first) / 6);
    return first < state.first - slack || last > state.last + slack || state.first > last || state.last < first;
  }

  measure() {
    let changed = false;
    for (const element of this.rows.current.children) {
      const row = this.shown.get(element.dataset.id);
      const { height } = element.getBoundingClientRect();
      if (row && height && Math.abs(height - row.height) > 0.1) {
        row.height = height;
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
    const { rows } = this.props;
    const { scrollTop } = this.scroller.current;
    if (this.heights.length !== rows.length) this.heights.rebuild(rows);
    const at = this.heights.find(scrollTop);
    const atTop = scrollTop <= AT_TOP_PIXELS;
    this.anchor = atTop || !rows[at] ? null : { row: rows[at], beyond: scrollTop - this.heights.offset(at) };
    if (atTop !== this.atTop) {
      this.atTop = atTop;
      this.props.onTop?.(atTop);
    }
    this.place();
  }

  /** Brings a row into sight and gives it the focus. */
  reveal(row) {
    const scroller = this.scroller.current;
    this.heights.rebuild(this.props.rows);
    const top = this.heights.offset(row.at);
    const bottom = this.heights.offset(row.at + 1);
    let to = scroller.scrollTop;
    if (top < to) to = top;
    else if (bottom > to + scroller.clientHeight) to = Math.min(top, bottom - scroller.clientHeight);
    if (to !== scroller.scrollTop) {
      this.anchor = null;
      scroller.scrollTop = to;
      this.scrolled();
    }
    this.wanted = row;
    this.forceUpdate();
  }

  /** To the first or to the last row. */
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

  elementOf(row) {
    return [...this.rows.current.children].find((each) => this.shown.get(each.dataset.id) === row);
  }

  render({ rows, idOf, show, label, busy, kind = "", grid, foot }, { first, last }) {
    const shown = rows.slice(first, Math.min(last, rows.length));
    this.shown = new Map(shown.map((row) => [idOf(row), row]));
    return html`<div class=${`scroller${kind}`} ref=${this.scroller} tabindex="-1" onScroll=${() => this.scrolled()}>
      <div class="rows" ref=${this.rows} role="list" aria-label=${label} aria-busy=${busy} style=${{ "--grid": grid }}>
        ${shown.map((row, at) => show(row, first + at))}
      </div>
      ${foot}
    </div>`;
  }
}
