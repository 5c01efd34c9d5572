// The services: each with what it consists of, opened to its instances.

import { Icon } from "../../parts/icons.js";
import { Choice, risksOf, valuesOf } from "../pure/filter.js";
import { inOrder, RISKS, sorted } from "../pure/services.js";
import { flipped, flippedAll, isOpen } from "../pure/url.js";
import { html, useMemo } from "../../view.js";
import { Chosen, Field, None, Sort, Words } from "./filters.js";
import { Listing } from "./listing.js";
import { InstanceRow, ServiceRow } from "./servicerows.js";

const FIELDS = ["app", "env", "host", "state", "risk"];
const WHY = "As soon as a registrar puts an instance into etcd, its service stands here.";
const number = new Intl.NumberFormat("en");

function itemsOf(found, state) {
  const items = [];
  for (const { service, instances } of found) {
    const open = isOpen(state, service.key);
    items.push({ key: service.key, service, instances, open });
    if (!open) continue;
    // One that is drained may have the endpoint of one that is registered.
    for (const one of inOrder(instances)) items.push({ key: `${service.key}\n${one.endpoint}\n${one.state === "drained"}`, one, service });
  }
  return items;
}

/** The view. */
export function Services({ model, state, go, menu, open, input, keys, ask, mayDrain, now, utc }) {
  const { services } = model;
  const { q, app, env, host, risk, sort } = state;
  const choice = useMemo(() => new Choice(state), [q, app, env, host, state.state, risk]);
  const found = useMemo(
    () => sorted(services, sort).map((service) => ({ service, instances: choice.instances(service) })).filter(({ instances }) => instances.length),
    [services, choice, sort],
  );
  const items = useMemo(() => itemsOf(found, state), [found, state.open, state.closed]);
  const count = found.reduce((sum, { instances }) => sum + instances.length, 0);
  const allOpen = state.open.includes("*");
  const toggle = (key) => go(flipped(state, key), { quiet: true });
  const valuesFor = (field) => () => (field === "risk" ? risksOf(services, RISKS) : valuesOf(services, state, field));
  const onKey = (name, item) => {
    if (name === "open") toggle(item.service.key);
    else if (item.one) ask(name, item.one);
    else if (name === "logs") ask(name, item.service);
  };
  const show = (item, { key, attributes, isSelected, select }) => item.one
    ? html`<${InstanceRow} key=${key} attributes=${attributes} one=${item.one} isSelected=${isSelected} select=${select} ask=${ask} go=${go} mayDrain=${mayDrain} now=${now} utc=${utc} />`
    : html`<${ServiceRow} key=${key} attributes=${attributes} service=${item.service} instances=${item.instances} isOpen=${item.open} isSelected=${isSelected} select=${select} toggle=${toggle} go=${go} now=${now} utc=${utc} />`;
  return html`<div class="bar">
      <${Words} q=${q} go=${go} label="Search services and instances" input=${input} />
      ${FIELDS.map((field) => html`<${Field} key=${field} field=${field} state=${state} go=${go} values=${valuesFor(field)} names=${field === "risk" ? RISKS : undefined} open=${menu === field} onOpen=${open(field)} />`)}
      <${Sort} state=${state} go=${go} />
      <button type="button" class="button" aria-pressed=${allOpen} onClick=${() => go(flippedAll(state), { quiet: true })}><${Icon} name=${allOpen ? "fold" : "unfold"} />${allOpen ? "Close all" : "Open all"}</button>
      <p class="status" role="status">${number.format(found.length)} ${found.length === 1 ? "service" : "services"}, ${number.format(count)} ${count === 1 ? "instance" : "instances"}</p>
      <${Chosen} state=${state} go=${go} names=${RISKS} />
    </div>
    <div class="listing services">
      <div class="heads" aria-hidden="true"><span></span><span>Service</span><span>Instances</span><span>Hosts</span><span>Version</span><span>Last release</span><span>Newest</span><span>Trouble</span></div>
      <${Listing} items=${items} show=${show} label="Services" source=${`${q} ${app} ${env} ${host} ${state.state} ${risk} ${sort}`} keys=${keys} onKey=${onKey}
        foot=${!items.length && html`<${None} state=${state} go=${go} what="services" why=${WHY} />`} />
    </div>`;
}
