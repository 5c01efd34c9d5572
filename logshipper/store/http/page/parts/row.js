// One entry of the list: a line, or a trace under the line that it belongs to.

import { fieldOf, levelOf } from "../pure/fields.js";
import { lineTime } from "../pure/times.js";
import { Component, html } from "../view.js";
import { Details } from "./details.js";
import { Icon } from "./icons.js";
import { Message, Text } from "./message.js";

const CHILD_CHARACTERS = 4000;

function Children({ entry, marks }) {
  return html`<div class="children">${entry.lines.slice(1).map((hit) => {
    const long = hit.message.length > CHILD_CHARACTERS && !entry.full;
    return html`<div class="child" key=${hit.id} dir="auto"><${Text} text=${long ? `${hit.message.slice(0, CHILD_CHARACTERS)}…` : hit.message} marks=${marks} /></div>`;
  })}</div>`;
}

export class Row extends Component {
  shouldComponentUpdate(next) {
    const { props } = this;
    return (
      next.revision !== props.revision ||
      Object.keys(next).some((name) => name !== "act" && next[name] !== props[name])
    );
  }

  clicked(event) {
    // Whoever marks text with the mouse wants the text; buttons do what they say.
    if (event.target.closest("button, a, input, .details") || !getSelection().isCollapsed) return;
    this.props.act.select(this.props.entry);
    this.props.act.details(this.props.entry);
  }

  render({ entry, selected, marks, utc, columns, act, position, size, inContext, focusable, current }) {
    const hit = entry.lines[0];
    const level = levelOf(hit);
    const more = entry.lines.length - 1;
    const time = lineTime(hit.time, utc);
    const source = [hit.app, hit.env].filter(Boolean);
    const name = `entry level-${level}${selected ? " selected" : ""}${current ? " current" : ""}${entry.details ? " opened" : ""}`;
    return html`<div class=${name} role="listitem" aria-posinset=${position} aria-setsize=${size} aria-current=${current ? "true" : undefined} tabindex=${focusable ? 0 : -1} data-id=${hit.id} onClick=${(event) => this.clicked(event)}>
      <div class="line">
        <button type="button" class="plain icon-only open" tabindex="-1" aria-expanded=${entry.details} aria-label="Details of the line of ${time}" onClick=${() => { act.select(entry); act.details(entry); }}><${Icon} name="chevron" /></button>
        <time datetime=${hit.time} title=${hit.time}>${time}</time>
        <span class=${level === "unknown" ? "level none" : "level"}>${level === "unknown" ? html`<span class="unseen">no level</span>` : level}</span>
        <span class="source" title=${[...source, hit.host, hit.container].filter(Boolean).join(" / ")} dir="auto">${source[0]}${source[1] && html` <span class="env">${source[1]}</span>`}</span>
        ${columns.map((column) => html`<span class="column" key=${column} data-name=${column} title=${`${column}: ${fieldOf(hit, column).slice(0, 300)}`} dir="auto"><${Text} text=${fieldOf(hit, column).slice(0, 300)} /></span>`)}
        <div class="text"><${Message} text=${hit.message} marks=${marks} full=${entry.full} onFull=${() => act.full(entry)} />
          ${more > 0 && html`<button type="button" class="fold" aria-expanded=${entry.open} onClick=${() => act.fold(entry)}>${entry.open ? "−" : "+"} ${more} ${more === 1 ? "line" : "lines"}</button>`}
          ${more > 0 && entry.open && html`<${Children} entry=${entry} marks=${marks} />`}
        </div>
      </div>
      ${entry.details && html`<${Details} entry=${entry} utc=${utc} columns=${columns} act=${act} inContext=${inContext} />`}
    </div>`;
  }
}
