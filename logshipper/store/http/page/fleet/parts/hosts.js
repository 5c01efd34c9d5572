// The hosts: how their daemons are, what they hold, what they leave out and why.

import { Icon } from "../../parts/icons.js";
import { Choice, risksOf } from "../pure/filter.js";
import { gradeOf, sorted, TROUBLES } from "../pure/hosts.js";
import { flipped, format, fresh, isOpen, logs } from "../pure/url.js";
import { html, useMemo } from "../../view.js";
import { Chosen, Field, None, Sort, Words } from "./filters.js";
import { Listing } from "./listing.js";
import { Ago, Badge, gradeOfState, Name, short, State, To } from "./name.js";

const WHY = "As soon as a daemon of a host reports to etcd, the host stands here.";
const SHOWN = 50;
const number = new Intl.NumberFormat("en");
const many = (count, one) => `${number.format(count)} ${one}${count === 1 ? "" : "s"}`;

function Daemon({ daemon, host, now, utc, go }) {
  const other = daemon.version && daemon.version !== host.usual.get(daemon.name);
  const to = fresh("events", { host: [host.name], daemon: [daemon.name] });
  return html`<tr>
    <th scope="row"><${To} href=${format(to)} go=${go} to=${to}><${Name} of=${daemon.name} /><//></th>
    <td data-label="Health"><${State} state=${daemon.health} /></td>
    <td data-label="Version"><${Name} of=${daemon.version || "–"} kind="mono" />${other && html` <${Badge} grade="note" text="other version" title=${`Most run ${short(host.usual.get(daemon.name))}`} />`}</td>
    <td data-label="Since"><${Ago} iso=${daemon.since} now=${now} utc=${utc} what="Since " /></td>
    <td data-label="Serves">${daemon.applied === null ? html`<span class="none">–</span>` : html`<span class="mono">${daemon.applied}</span>${host.lag ? html` <${Badge} grade=${host.late ? "warn" : "note"} text=${`${number.format(host.lag.by)} behind`} title="Revisions of etcd, behind the discovery that is ahead" />` : ""}`}</td>
    <td class="troubles-cell">${daemon.troubles.length > 0 && html`<ul>${daemon.troubles.slice(0, SHOWN).map((trouble) => html`<li class="trouble"><bdi>${short(trouble)}</bdi></li>`)}</ul>`}</td>
  </tr>`;
}

// What is too much to show, here or for who told of it.
function More({ of, beyond }) {
  const count = Math.max(0, of.length - SHOWN) + beyond;
  return count > 0 && html`<p class="note">And ${number.format(count)} more.</p>`;
}

function Opened({ host, go, now, utc, ask, mayDrain }) {
  return html`<div class="host-body">
    ${host.daemons.length > 0 ? html`<table class="daemons"><caption class="unseen">Daemons of this host</caption><thead><tr><th scope="col">Daemon</th><th scope="col">Health</th><th scope="col">Version</th><th scope="col">Since</th><th scope="col">Serves revision</th><th scope="col"><span class="unseen">Troubles</span></th></tr></thead>
      <tbody>${host.daemons.map((daemon) => html`<${Daemon} key=${daemon.name} daemon=${daemon} host=${host} now=${now} utc=${utc} go=${go} />`)}</tbody></table>` : html`<p class="note">No daemon of this host is heard from.</p>`}
    ${host.unregistered.length > 0 && html`<section><h3>Containers that are not registered</h3><ul class="plain-list">${host.unregistered.slice(0, SHOWN).map((one) => html`<li><${Name} of=${one.name} kind="strong" /> <bdi class="says">${short(one.reason)}</bdi></li>`)}</ul><${More} of=${host.unregistered} beyond=${host.unregisteredMore} /></section>`}
    ${host.drains.length > 0 && html`<section><h3>Drained</h3><ul class="plain-list">${host.drains.slice(0, SHOWN).map((one) => html`<li><${Name} of=${one.service} kind="strong" /> <${Name} of=${one.endpoint} kind="mono" /> <span class="note">for <${Ago} iso=${one.since} now=${now} utc=${utc} what="Drained since " /></span>${mayDrain && one.key && html` <button type="button" class="button small" aria-label=${`Undrain ${short(one.endpoint)} of ${short(one.service)}`} onClick=${() => ask("undrain", one)}><${Icon} name="back" />Undrain</button>`}</li>`)}</ul><${More} of=${host.drains} beyond=${host.drainsMore} /></section>`}
  </div>`;
}

function HostRow({ host, isOpen: opened, attributes, isSelected, select, toggle, go, now, utc, ask, mayDrain }) {
  const worst = host.troubles.length ? gradeOf(host.troubles[0]) : "good";
  const to = fresh("services", { host: [host.name], open: ["*"] });
  const events = fresh("events", { host: [host.name] });
  const registrar = host.daemons.some(({ name }) => name === "registrar");
  const said = host.daemons.flatMap(({ name, troubles, health }) => (health === "healthy" ? [] : [`${name}: ${troubles.join("; ") || health}`]));
  const clicked = (event) => {
    if (event.target.closest("button, a, table, .host-body") || !getSelection().isCollapsed) return;
    select();
    toggle(host.name);
  };
  return html`<div ...${attributes} class=${`entry host grade-${worst}${isSelected ? " selected" : ""}${opened ? " opened" : ""}`} onClick=${clicked}>
    <div class="cells">
      <button type="button" class="plain icon-only open" aria-expanded=${opened} aria-label=${`Details of ${short(host.name)}`} onClick=${() => toggle(host.name)}><${Icon} name="chevron" /></button>
      <span class="c-name"><${Name} of=${host.name} kind="strong" /> <${Name} of=${host.ip} kind="mono faint" /></span>
      <span class="c-daemons" data-label="Daemons">${host.daemons.map((daemon) => html`<${Badge} key=${daemon.name} grade=${gradeOfState(daemon.health)} text=${daemon.name} title=${`${short(daemon.name)} is ${short(daemon.health)}`} />`)}</span>
      <span class="c-instances" data-label="Holds">${host.up + host.out > 0 ? html`<${To} href=${format(to)} go=${go} to=${to}>${many(host.up + host.out, "instance")}<//>${host.out > 0 && html` <${Badge} grade="warn" text=${`${host.out} not up`} />`} <span class="note">of ${many(host.services, "service")}</span>` : html`<span class="none">no instance</span>`}</span>
      <span class="c-risks">${host.troubles.map((trouble) => html`<${Badge} key=${trouble} grade=${gradeOf(trouble)} text=${trouble === "unregistered" ? `${number.format(host.unregistered.length + host.unregisteredMore)} not registered` : trouble === "drained" && !host.drained ? `${number.format(host.drains.length + host.drainsMore)} drained` : TROUBLES[trouble][0]} title=${TROUBLES[trouble][1]} />`)}</span>
      <span class="acts">
        <a class="button small" href=${logs({ host: host.name })} aria-label=${`Logs of ${short(host.name)}`}><${Icon} name="logs" />Logs</a>
        <${To} kind="button small" href=${format(events)} go=${go} to=${events} label=${`Events of ${short(host.name)}`}>Events<//>
        ${mayDrain && registrar && html`<button type="button" class="button small" aria-label=${`${host.drained ? "Undrain" : "Drain"} ${short(host.name)}`} onClick=${() => ask(host.drained ? "undrain" : "drain", { host: host.name })}><${Icon} name=${host.drained ? "back" : "out"} />${host.drained ? "Undrain" : "Drain"}</button>`}
      </span>
    </div>
    ${!opened && said.length > 0 && html`<ul class="said-troubles">${said.slice(0, 3).map((text) => html`<li class="trouble"><bdi>${short(text)}</bdi></li>`)}</ul>`}
    ${opened && html`<${Opened} host=${host} go=${go} now=${now} utc=${utc} ask=${ask} mayDrain=${mayDrain} />`}
  </div>`;
}

/** The view. */
export function Hosts({ model, state, go, menu, open, input, keys, ask, mayDrain, now, utc }) {
  const { hosts } = model;
  const choice = useMemo(() => new Choice(state), [state.q, state.host, state.risk]);
  const found = useMemo(() => sorted(hosts, state.sort).filter((host) => choice.host(host)), [hosts, choice, state.sort]);
  const items = useMemo(() => found.map((host) => ({ key: host.name, host, open: isOpen(state, host.name) })), [found, state.open, state.closed]);
  const toggle = (name) => go(flipped(state, name), { quiet: true });
  const values = { host: () => new Map(hosts.map((host) => [host.name, host.up + host.out])), risk: () => risksOf(hosts, TROUBLES) };
  const onKey = (name, { host }) => (name === "open" ? toggle(host.name) : ask(name === "drain" && host.drained ? "undrain" : name, { host: host.name }));
  const show = ({ host, open: opened }, { key, attributes, isSelected, select }) => html`<${HostRow} key=${key} host=${host} isOpen=${opened} attributes=${attributes} isSelected=${isSelected} select=${select} toggle=${toggle} go=${go} now=${now} utc=${utc} ask=${ask} mayDrain=${mayDrain} />`;
  return html`<div class="bar">
      <${Words} q=${state.q} go=${go} label="Search hosts" input=${input} />
      ${["host", "risk"].map((field) => html`<${Field} key=${field} field=${field} state=${state} go=${go} values=${values[field]} names=${field === "risk" ? TROUBLES : undefined} open=${menu === field} onOpen=${open(field)} />`)}
      <${Sort} state=${state} go=${go} />
      <p class="status" role="status">${many(found.length, "host")}</p>
      <${Chosen} state=${state} go=${go} names=${TROUBLES} />
    </div>
    <div class="listing hosts"><${Listing} items=${items} show=${show} label="Hosts" source=${`${state.q} ${state.host} ${state.risk} ${state.sort}`} keys=${keys} onKey=${onKey}
      foot=${!items.length && html`<${None} state=${state} go=${go} what="hosts" why=${WHY} />`} /></div>`;
}
