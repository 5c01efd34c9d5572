// What the daemons of all hosts did, newest first.

import { Icon } from "../../parts/icons.js";
import { fieldsOf, levelOf } from "../../pure/fields.js";
import { lineTime } from "../../pure/times.js";
import { fits, wordsOf } from "../pure/filter.js";
import { logs } from "../pure/url.js";
import { Recent } from "../work/recent.js";
import { html, useEffect, useMemo } from "../../view.js";
import { Chosen, Field, None, Words } from "./filters.js";
import { Listing } from "./listing.js";
import { Name, short } from "./name.js";

const DAEMONS = ["registrar", "discovery", "logshipper", "logstore"];
const LEVELS = ["fatal", "error", "warn", "info", "debug"];
const WHY = "Log shippers bring them here: set logshipper.events on each host.";
const FIELDS = 12;
const number = new Intl.NumberFormat("en");

function textOf(event) {
  event.words ??= [event.host, event.daemon, event.level, event.event, JSON.stringify(event.fields ?? {})].join("\n").toLowerCase();
  return event.words;
}

function EventRow({ event, attributes, isSelected, select, utc }) {
  const fields = fieldsOf(event.fields ?? {});
  return html`<div ...${attributes} class=${`entry event level-${levelOf(event)}${isSelected ? " selected" : ""}`} onClick=${select}>
    <div class="cells">
      <time datetime=${event.time} title=${short(event.time)}>${short(lineTime(event.time, utc))}</time>
      ${" "}<span class="level">${short(event.level ?? "")}</span>
      ${" "}<${Name} of=${event.host ?? ""} kind="c-host" />
      ${" "}<${Name} of=${event.daemon ?? ""} kind="c-daemon" />
      ${" "}<span class="c-event"><${Name} of=${event.event ?? ""} kind="strong" /> ${fields.slice(0, FIELDS).map(({ name, value }) => html`<span class="pair field"><span class="faint"><bdi>${short(name)}</bdi>=</span><bdi>${short(value)}</bdi></span> `)}${fields.length > FIELDS && html`<span class="note">+${fields.length - FIELDS}</span>`}</span>
    </div>
  </div>`;
}

/** The view; `onRefused` is told when somebody has to sign in. */
export function Events({ model, state, go, menu, open, input, keys, redraw, onRefused, utc }) {
  const recent = useMemo(() => new Recent(redraw), []);
  const asked = [state.host, state.daemon, state.level].map((values) => values.join(" ")).join("|");
  useEffect(() => {
    recent.show(state);
  }, [asked, state.live]);
  useEffect(() => () => recent.close(), []);
  useEffect(() => {
    if (recent.problem?.status === 401) onRefused();
  }, [recent.problem]);
  const { events, problem, phase, more, isAsked } = recent;
  const items = useMemo(() => {
    const words = wordsOf(state.q);
    return events.filter((event) => fits(textOf(event), words));
  }, [events, state.q]);
  const values = {
    host: () => new Map([...model.hosts.map((host) => host.name), ...state.host].map((name) => [name, null])),
    daemon: () => new Map([...DAEMONS, ...state.daemon].map((name) => [name, null])),
    level: () => new Map([...LEVELS, ...state.level].map((name) => [name, null])),
  };
  const show = (event, { key, attributes, isSelected, select }) => html`<${EventRow} key=${key} event=${event} attributes=${attributes} isSelected=${isSelected} select=${select} utc=${utc} />`;
  const again = () => recent.show(state);
  const foot = !items.length && isAsked && !problem && phase === "idle" && !(more && state.q) ? html`<${None} state=${state} go=${go} what="events" why=${WHY} />`
    : html`<p class="foot note">${phase === "older" ? "Looking further back…" : phase === "searching" ? "Looking for events…" : more && state.q && !problem ? html`<button type="button" class="button small" onClick=${() => recent.older()}>Look further back</button>` : !more && items.length ? "These are the oldest that are kept and fit." : ""}</p>`;
  return html`<div class="bar">
      <${Words} q=${state.q} go=${go} label="Search the events loaded" input=${input} />
      ${["host", "daemon", "level"].map((field) => html`<${Field} key=${field} field=${field} state=${state} go=${go} values=${values[field]} open=${menu === field} onOpen=${open(field)} />`)}
      <button type="button" class="button live" aria-pressed=${state.live} title="Show events as they come" onClick=${() => go({ live: !state.live })}><span class="dot" aria-hidden="true"></span>Live</button>
      <a class="button" href=${logs({ app: "wharfinger", env: state.daemon, host: state.host })}><${Icon} name="logs" />In the log page</a>
      <p class="status" role="status">${problem && state.live && events.length ? "Interrupted, trying again…" : `${number.format(items.length)} ${items.length === 1 ? "event" : "events"}`}</p>
      <${Chosen} state=${state} go=${go} />
    </div>
    ${problem && problem.status !== 401 && html`<div class="problem" role="alert"><p><strong>${problem.message}</strong>${problem.fix && html`<span class="fix">${problem.fix}</span>`}</p><button type="button" class="button small" onClick=${again}><${Icon} name="refresh" />Try again</button></div>`}
    <div class="listing events"><${Listing} items=${items} show=${show} label="Events, newest first" source=${`${asked} ${state.q}`} forms=${[utc]} keys=${keys} busy=${phase === "searching"} onEnd=${() => !state.q && recent.older()} foot=${foot} /></div>`;
}
