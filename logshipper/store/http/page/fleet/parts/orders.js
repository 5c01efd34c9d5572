// Orders to registrars: asked for with what they will do, followed step by step.

import { Icon } from "../../parts/icons.js";
import { Popup } from "../../parts/popup.js";
import { drained, inOrder, isEnded, returning, STATES, subject } from "../pure/consequences.js";
import { give } from "../work/orders.js";
import { html, useState } from "../../view.js";
import { Dialog } from "./dialog.js";
import { Ago, Name, short, State } from "./name.js";

const SHOWN = 100;
const number = new Intl.NumberFormat("en");
const many = (count, one) => `${number.format(count)} ${one}${count === 1 ? "" : "s"}`;
const VERBS = { __proto__: null, drain: "Drain", undrain: "Undrain" };

/** What an order is, in a line that leads to it. */
export function OrderLine({ order, go, now, utc }) {
  return html`<button type="button" class="choice order-line" onClick=${() => go({ order: order.id })}>
    <${State} state=${order.state} /><span class="order-what">${VERBS[order.verb] ?? short(order.verb)} <${Name} of=${subject(order)} /></span>
    <span class="note"><${Ago} iso=${order.at} now=${now} utc=${utc} /> ago${order.by && html`, by <${Name} of=${order.by} />`}</span></button>`;
}

/** All orders that the store still knows. */
export function Orders({ fleet, open, onOpen, go, now, utc }) {
  const orders = inOrder(fleet.orders);
  if (!orders.length) return null;
  const going = orders.filter((order) => !isEnded(order)).length;
  const close = (changes) => {
    onOpen(false);
    go(changes);
  };
  return html`<${Popup} name="orders" label="Orders" text=${going ? `${many(going, "order")} under way` : "Orders"} open=${open} onOpen=${onOpen}>
    <ul class="choices">${orders.slice(0, SHOWN).map((order) => html`<li key=${order.id}><${OrderLine} order=${order} go=${close} now=${now} utc=${utc} /></li>`)}</ul>
  <//>`;
}

/** What a target is called. */
function Target({ target }) {
  return html`<${Name} of=${target.endpoint ?? target.host} />`;
}

function Left({ found }) {
  return html`<table class="left"><caption class="unseen">What stays of each service</caption>
    <thead><tr><th scope="col">Service</th><th scope="col">Taken out</th><th scope="col">Stay up</th></tr></thead>
    <tbody>${found.slice(0, SHOWN).map((one) => html`<tr key=${one.key} class=${one.last ? "last" : ""}>
      <th scope="row"><${Name} of=${one.key} /></th><td>${number.format(one.taken)}</td>
      <td>${one.left ? `${number.format(one.left)} on ${many(one.hosts, "host")}` : html`<strong>none</strong>`}</td></tr>`)}</tbody></table>
    ${found.length > SHOWN && html`<p class="note">And ${many(found.length - SHOWN, "service")} more, of which more stays.</p>`}`;
}

function WhatDrainDoes({ target, found }) {
  const last = found.filter((one) => one.last);
  return html`
    <p>${target.endpoint ? html`This instance of <${Name} of=${target.service} /> on <${Name} of=${target.host} /> is taken out of etcd.` : html`Every instance on <${Name} of=${target.host} /> is taken out of etcd, and what is started there later stays out, too.`}${" "}Each discovery confirms that its Nginx sends nobody there any more, then requests in flight are let finish. Containers keep running. It stays so, also over restarts, until it is undrained.</p>
    ${last.length > 0 && html`<p class="warning" role="note"><${Icon} name="warn" /><span>${last.length === 1 ? html`<strong><${Name} of=${last[0].key} /> will have no instance that is up</strong>: nobody will answer for it.` : html`<strong>${many(last.length, "service")} will have no instance that is up</strong>: nobody will answer for them.`}</span></p>`}
    ${found.length ? html`<${Left} found=${found} />` : html`<p>Nothing is registered there now.</p>`}`;
}

function WhatUndrainDoes({ target, back }) {
  return html`<p>${target.endpoint ? html`The instance is let back in, with the same port and key, as soon as its check passes.` : html`<${Name} of=${target.host} /> takes part again: ${back.length ? `${many(back.length, "instance")} come back` : "what runs there comes back"}, each with the same port and key, as soon as its check passes.`}</p>
    ${back.length > 0 && !target.endpoint && html`<ul class="back">${back.slice(0, SHOWN).map((one) => html`<li key=${one.key}><${Name} of=${one.service} /> <${Name} of=${one.endpoint} kind="mono" /></li>`)}</ul>`}`;
}

/**
 * Asks for a yes. `wish` is {verb, target}, the target {host} or {host, service, endpoint, key};
 * `onGiven` is told the id of the order, `onRefused` of a refusal that signing in would mend.
 */
export function Confirm({ wish, services, fleet, isLive, onClose, onGiven }) {
  const { verb, target } = wish;
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  const [agreed, setAgreed] = useState("");
  const drains = verb === "drain";
  const found = drains ? drained(services, target) : [];
  const back = drains ? [] : returning(fleet.hosts.get(target.host), target);
  // A yes holds for the services that it was said of: should another lose its last, it is asked anew.
  const lost = found.filter((one) => one.last).map((one) => one.key).join("\n");
  const lacksYes = lost !== "" && agreed !== lost;
  const submitted = async (event) => {
    event.preventDefault();
    if (busy || lacksYes || !isLive) return;
    setBusy(true);
    setProblem(null);
    try {
      onGiven(await give(verb, target));
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  };
  return html`<${Dialog} kind="confirm" role="alertdialog" title=${html`${VERBS[verb]} <${Target} target=${target} />?`} onClose=${onClose}>
    <form onSubmit=${submitted}>
      ${drains ? html`<${WhatDrainDoes} target=${target} found=${found} />` : html`<${WhatUndrainDoes} target=${target} back=${back} />`}
      ${lost !== "" && html`<label class="agree"><input type="checkbox" checked=${!lacksYes} onChange=${(event) => setAgreed(event.target.checked ? lost : "")} /> Take the last one out all the same</label>`}
      ${!isLive && html`<p class="problem" role="alert">What is shown is not live, so nobody can say what this would do. Wait until it is.</p>`}
      ${problem && html`<div class="problem" role="alert"><p><strong>${problem.message}</strong>${problem.fix && html`<span class="fix">${problem.fix}</span>`}</p></div>`}
      <div class="acts"><button type="button" class="button" data-first onClick=${onClose}>Cancel</button>
        <button type="submit" class=${drains ? "primary danger" : "primary"} disabled=${busy || lacksYes || !isLive}>${busy ? "Sending…" : VERBS[verb]}</button></div>
    </form>
  <//>`;
}

/** How far an order is. */
export function Progress({ id, fleet, isLive, onClose, now, utc }) {
  const order = fleet.orders.get(id);
  const state = order?.state ?? "sending";
  const title = order ? html`${VERBS[order.verb] ?? short(order.verb)} <${Name} of=${subject(order)} />` : "Order";
  const ended = order !== undefined && isEnded(order);
  const steps = order?.steps ?? [];
  return html`<${Dialog} kind="confirm progress" title=${title} onClose=${onClose}>
    <p class="order-state" role="status"><${State} state=${state} /> ${STATES[state] ?? ""}${order?.why && html`: <bdi>${short(order.why)}</bdi>`}</p>
    <ol class="steps" aria-label="Steps" aria-live="polite">${steps.map((step, at) => {
      const last = at === steps.length - 1;
      const kind = !last || state === "done" ? "done" : ended ? "failed" : "going";
      return html`<li key=${at} class=${kind}>${kind === "going" ? html`<span class="spinner" aria-hidden="true"></span>` : html`<${Icon} name=${kind === "done" ? "good" : "close"} />`}<bdi>${short(step)}</bdi></li>`;
    })}</ol>
    ${!order && html`<p class="note">An order that ended long ago is not known any more.</p>`}
    ${!isLive && html`<p class="problem" role="alert">This is not live: the order goes on without being seen.</p>`}
    ${order && html`<p class="note">On <${Name} of=${order.host || order.target} />, asked for <${Ago} iso=${order.at} now=${now} utc=${utc} /> ago${order.by && html` by <${Name} of=${order.by} />`}.</p>`}
    <div class="acts"><button type="button" class="button" data-first onClick=${onClose}>${ended ? "Close" : "Close, it goes on"}</button></div>
  <//>`;
}
