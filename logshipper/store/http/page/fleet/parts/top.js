// What stands above every view: how things are in sum, and whether that is so now.

import { Icon } from "../../parts/icons.js";
import { fullTime } from "../../pure/times.js";
import { age } from "../pure/ages.js";
import { format, fresh, VIEWS } from "../pure/url.js";
import { html, useEffect, useRef } from "../../view.js";
import { short, To } from "./name.js";

export const TITLES = { overview: "Overview", services: "Services", hosts: "Hosts", events: "Events", releases: "Releases" };
const number = new Intl.NumberFormat("en");

/** The views. */
export function Tabs({ state, go, wrong }) {
  const nav = useRef(null);
  // On a narrow screen not all of them are in sight.
  useEffect(() => nav.current.querySelector(".here")?.scrollIntoView({ block: "nearest", inline: "nearest" }), [state.view]);
  return html`<nav class="tabs" aria-label="Views" ref=${nav}>${VIEWS.map((view) => {
    const to = fresh(view);
    return html`<${To} key=${view} href=${format(to)} go=${go} to=${to} kind=${state.view === view ? "tab here" : "tab"}>
      <span aria-current=${state.view === view ? "page" : undefined}>${TITLES[view]}</span>${view === "overview" && wrong > 0 && html`<span class="badge error" title="Things that are wrong">${number.format(wrong)}</span>`}<//>`;
  })}</nav>`;
}

/** Live, or why not; told to screen readers when it changes, which the seconds beside it are not. */
export function Link({ follow, now, utc }) {
  const { fleet, isLive, isKnown, link, changedAt } = follow;
  const words = isLive ? "Live" : link === "live" ? "Stale" : { connecting: "Connecting…", lost: "Not live", refused: "Not live", paused: "Paused" }[link];
  return html`<p class=${`link ${isLive ? "is-live" : "is-not"}`}>
    <span role="status"><span class="dot" aria-hidden="true"></span>${words}</span>
    ${isKnown && html`<span class="changed" title=${`Last change seen: ${fullTime(changedAt, utc)}; etcd's revision is ${fleet.revision}`}>unchanged for ${age((now - changedAt) / 1000)}</span>`}
  </p>`;
}

/** Says above all else that what is shown is not what is; the seconds are not told aloud. */
export function Stale({ follow, now, utc, onRetry }) {
  const { fleet, isLive, isKnown, link, problem, heardAt, retryAt } = follow;
  if (isLive || link === "refused") return null;
  // To connect takes a moment, which is not worth a banner while there is nothing old to see.
  if (link === "connecting" && !isKnown) return null;
  const why = link === "live" ? `The store is not up to date itself: ${short(fleet.stale)}` : link === "paused" ? "This tab was out of sight" : problem ? problem.message : "The connection is being made";
  const of = isKnown ? (heardAt ? ` What you see is the fleet as of ${fullTime(heardAt, utc).slice(11)}, ${age((now - heardAt) / 1000)} ago.` : " How old what you see is, nobody knows.") : "";
  return html`<section class="banner" aria-label="Not live"><${Icon} name="warn" />
    <p><span role="alert"><strong>Not live.</strong> ${why}.</span>${of}${retryAt > 0 && ` Trying again ${retryAt > now ? `in ${Math.ceil((retryAt - now) / 1000)} s` : "now"}.`}</p>
    ${link === "lost" && html`<button type="button" class="button small" onClick=${onRetry}><${Icon} name="refresh" />Try now</button>`}
  </section>`;
}

function Tile({ name, count, grade, to, go, beside }) {
  return html`<${To} href=${format(to)} go=${go} to=${to} kind=${`tile ${count ? grade : "calm"}`}>
    <span class="tile-count">${number.format(count)}</span><span class="tile-name">${name}${beside && html`<small> ${beside}</small>`}</span><//>`;
}

/** The sums, each of them a way to what it counts. */
export function Totals({ sums, go }) {
  const hosts = (count) => `${number.format(count)} ${count === 1 ? "host" : "hosts"}`;
  return html`<section class="totals" aria-label="Totals">
    <${Tile} name=${sums.services === 1 ? "service" : "services"} count=${sums.services} grade="plain-tile" to=${fresh("services")} go=${go} />
    <${Tile} name=${sums.instances === 1 ? "instance" : "instances"} count=${sums.instances} grade="plain-tile" to=${fresh("services", { sort: "instances" })} go=${go} />
    <${Tile} name=${sums.hosts === 1 ? "host" : "hosts"} count=${sums.hosts} grade="plain-tile" to=${fresh("hosts")} go=${go} />
    <${Tile} name=${sums.unhealthy === 1 ? "unhealthy host" : "unhealthy hosts"} count=${sums.unhealthy} grade="error" to=${fresh("hosts", { risk: ["unhealthy", "silent"] })} go=${go} />
    <${Tile} name="not up" count=${sums.out} grade="error" to=${fresh("services", { risk: ["down", "out"] })} go=${go} />
    <${Tile} name="drained" count=${sums.drained} grade="note" beside=${sums.drainedHosts > 0 && `and ${hosts(sums.drainedHosts)}`} to=${sums.drained ? fresh("services", { state: ["drained"], open: ["*"] }) : fresh("hosts", { risk: ["drained"] })} go=${go} />
  </section>`;
}
