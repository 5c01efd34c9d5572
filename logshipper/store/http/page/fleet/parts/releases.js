// The releases of each service, the last one first.

import { Icon } from "../../parts/icons.js";
import { fits, wordsOf } from "../pure/filter.js";
import { named } from "../pure/fleet.js";
import { byName } from "../pure/services.js";
import { flipped, format, fresh, isOpen } from "../pure/url.js";
import { html, useMemo } from "../../view.js";
import { Chosen, Field, None, Sort, Words } from "./filters.js";
import { Listing } from "./listing.js";
import { Ago, gradeOfState, Name, short, State, To } from "./name.js";

const WHY = "The release pipeline writes them to etcd as it goes.";
const SHOWN = 50;
const number = new Intl.NumberFormat("en");

function groupsOf(fleet) {
  return [...fleet.releases].filter(([, releases]) => releases.length).map(([key, releases]) => {
    const newest = [...releases].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : byName(b.release, a.release)));
    return { key, ...named(key), releases: newest, last: newest[0] };
  });
}

function Release({ release, now, utc }) {
  return html`<${State} state=${release.state || "unknown"} /> ${release.verb === "down" && "down of "}<${Name} of=${release.release} kind="strong" />
    <span class="c-image"><${Name} of=${release.image} kind="mono" /> <${Name} of=${release.digest} text=${release.digest.slice(0, 19)} kind="mono faint" /></span>
    <span class="note"><${Ago} iso=${release.at} now=${now} utc=${utc} /> ago${release.by && html` by <${Name} of=${release.by} />`}</span>
    ${release.why && html`<bdi class="says">${short(release.why)}</bdi>`}`;
}

function Group({ group, isOpen: opened, attributes, isSelected, select, toggle, go, now, utc }) {
  const { key, app, env, releases, last } = group;
  const to = fresh("services", { app: [app], env: [env], open: [key] });
  const clicked = (event) => {
    if (event.target.closest("button, a, ol") || !getSelection().isCollapsed) return;
    select();
    toggle(key);
  };
  return html`<div ...${attributes} class=${`entry group grade-${gradeOfState(last.state)}${isSelected ? " selected" : ""}${opened ? " opened" : ""}`} onClick=${clicked}>
    <div class="cells">
      <button type="button" class="plain icon-only open" aria-expanded=${opened} aria-label=${`Releases of ${short(key)}`} onClick=${() => toggle(key)}><${Icon} name="chevron" /></button>
      <span class="c-name"><${To} href=${format(to)} go=${go} to=${to}><${Name} of=${app} kind="strong" /> <${Name} of=${env} kind="env" /><//></span>
      <span class="c-last"><${Release} release=${last} now=${now} utc=${utc} /></span>
      <span class="count">${number.format(releases.length)}</span>
    </div>
    ${opened && html`<ol class="plain-list history">${releases.slice(0, SHOWN).map((release, at) => html`<li key=${at}><${Release} release=${release} now=${now} utc=${utc} /></li>`)}</ol>`}
  </div>`;
}

/** The view. */
export function Releases({ model, state, go, menu, open, input, keys, now, utc }) {
  const groups = useMemo(() => groupsOf(model.fleet), [model.fleet.releases]);
  const items = useMemo(() => {
    const words = wordsOf(state.q);
    const has = (values, value) => !values.length || values.includes(value);
    const found = groups.filter((group) => has(state.app, group.app) && has(state.env, group.env) && fits([group.key, ...group.releases.flatMap((one) => [one.release, one.image, one.state, one.by, one.digest])].join("\n").toLowerCase(), words));
    found.sort((a, b) => (state.sort === "name" || a.last.at === b.last.at ? byName(a.key, b.key) : a.last.at < b.last.at ? 1 : -1));
    return found.map((group) => ({ key: group.key, group, open: isOpen(state, group.key) }));
  }, [groups, state]);
  const toggle = (key) => go(flipped(state, key), { quiet: true });
  const values = (field) => () => groups.reduce((counts, group) => counts.set(group[field], (counts.get(group[field]) ?? 0) + 1), new Map(state[field].map((value) => [value, 0])));
  const show = ({ group, open: opened }, { key, attributes, isSelected, select }) => html`<${Group} key=${key} group=${group} isOpen=${opened} attributes=${attributes} isSelected=${isSelected} select=${select} toggle=${toggle} go=${go} now=${now} utc=${utc} />`;
  return html`<div class="bar">
      <${Words} q=${state.q} go=${go} label="Search releases" input=${input} />
      ${["app", "env"].map((field) => html`<${Field} key=${field} field=${field} state=${state} go=${go} values=${values(field)} open=${menu === field} onOpen=${open(field)} />`)}
      <${Sort} state=${state} go=${go} />
      <p class="status" role="status">${number.format(items.length)} ${items.length === 1 ? "service" : "services"}</p>
      <${Chosen} state=${state} go=${go} />
    </div>
    <div class="listing releases"><${Listing} items=${items} show=${show} label="Releases" source=${`${state.q} ${state.app} ${state.env} ${state.sort}`} keys=${keys} onKey=${(name, { group }) => name === "open" && toggle(group.key)}
      foot=${!items.length && html`<${None} state=${state} go=${go} what="releases" why=${WHY} />`} /></div>`;
}
