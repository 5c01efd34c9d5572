// What is wrong in the fleet, worst first: what somebody looks for who was woken up.

import { isEnded, subject } from "./consequences.js";
import { fresh } from "./url.js";

const many = (count, one, more = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : more}`;

// How a drained or starting service is worded where no instance of it is up.
function whyDown({ instances, drains }) {
  const states = new Map();
  for (const one of [...instances.values(), ...drains]) states.set(one.state, (states.get(one.state) ?? 0) + 1);
  return [...states].map(([state, count]) => `${count} ${state}`).join(", ");
}

const ofService = (service) => fresh("services", { app: [service.app], env: [service.env], open: [service.key] });
const ofHost = (name) => fresh("hosts", { host: [name], open: [name] });

function ofServices(services) {
  const at = (risk) => services.filter(({ risks }) => risks.includes(risk));
  const shown = (risk, title, says) => {
    const found = at(risk);
    return {
      kind: `services-${risk}`,
      title: title(found.length),
      items: found.map((service) => ({ name: service.key, says: says(service), to: ofService(service) })),
      all: fresh("services", { risk: [risk] }),
    };
  };
  const services_ = (count) => many(count, "service");
  return {
    down: shown("down", (n) => `${services_(n)} ${n === 1 ? "has" : "have"} no instance that is up`, whyDown),
    out: shown("out", (n) => `${services_(n)} ${n === 1 ? "has" : "have"} instances that are not up`, ({ out, instances }) => `${out} of ${instances.size}`),
    release: shown("release", (n) => `The last release of ${services_(n)} did not succeed`, ({ release }) => `${release.release} ${release.state}${release.why ? `: ${release.why}` : ""}`),
    single: shown("single", (n) => `${services_(n)} ${n === 1 ? "has" : "have"} one instance only`, ({ hosts }) => [...hosts.keys()].join(", ")),
    onehost: shown("onehost", (n) => `${services_(n)} ${n === 1 ? "is" : "are"} on one host alone`, ({ hosts }) => [...hosts.keys()].join(", ")),
    versions: shown("versions", (n) => `${services_(n)} ${n === 1 ? "runs" : "run"} different versions`, ({ versions }) => [...versions].map(([name, count]) => `${name} (${count})`).join(", ")),
    drained: shown("drained", (n) => `${services_(n)} ${n === 1 ? "has" : "have"} drained instances`, ({ drains }) => many(drains.length, "instance")),
  };
}

function ofHosts(hosts) {
  const finding = (trouble, title, items) => ({
    kind: `hosts-${trouble}`,
    title: title(items.length),
    items,
    all: fresh("hosts", { risk: [trouble] }),
  });
  const at = (trouble) => hosts.filter(({ troubles }) => troubles.includes(trouble));
  const item = (host, says) => ({ name: host.name, says, to: ofHost(host.name) });
  const unhealthy = at("unhealthy").flatMap((host) =>
    host.daemons.filter(({ health }) => health !== "healthy").map((daemon) =>
      item(host, `${daemon.name}: ${daemon.troubles.join("; ") || daemon.health}`)));
  const loose = at("unregistered").flatMap((host) => host.unregistered.map((one) => item(host, `${one.name}: ${one.reason}`)));
  const other = at("version").map((host) =>
    item(host, host.daemons.filter(({ name, version }) => version && version !== host.usual.get(name)).map(({ name, version }) => `${name} ${version}, most run ${host.usual.get(name)}`).join("; ")));
  return {
    unhealthy: finding("unhealthy", (n) => `${many(n, "daemon")} ${n === 1 ? "is" : "are"} unhealthy`, unhealthy),
    silent: finding("silent", (n) => `${many(n, "host")} ${n === 1 ? "has" : "have"} instances, and no registrar is heard from`, at("silent").map((host) => item(host, many(host.up + host.out, "instance")))),
    behind: finding("behind", (n) => `${many(n, "discovery", "discoveries")} ${n === 1 ? "is" : "are"} behind the others`, at("behind").map((host) => item(host, many(host.lag.by, "revision")))),
    unregistered: finding("unregistered", (n) => `${many(n, "container")} ${n === 1 ? "is" : "are"} not registered`, loose),
    version: finding("version", (n) => `${many(n, "host")} ${n === 1 ? "runs" : "run"} another version than most`, other),
    drained: finding("drained", (n) => `${many(n, "host")} ${n === 1 ? "is" : "are"} drained`, hosts.filter(({ drained }) => drained).map((host) => item(host, many(host.drains.length, "instance")))),
  };
}

function ofOrders(orders, view) {
  const failed = [...orders.values()].filter((order) => isEnded(order) && order.state !== "done");
  return {
    kind: "orders",
    title: `${many(failed.length, "order")} failed`,
    items: failed.map((order) => ({ name: `${order.verb} ${subject(order)}`, says: order.why || order.steps.at(-1) || order.state, to: { ...view, order: order.id } })),
    all: null,
  };
}

function ofRejected(rejected) {
  return {
    kind: "rejected",
    title: `${many(rejected.length, "key")} in etcd ${rejected.length === 1 ? "is" : "are"} not understood and left out`,
    items: rejected.map(({ key, reason }) => ({ name: key, says: reason, to: null })),
    all: null,
  };
}

/** What is wrong: [{kind, grade, title, items: [{name, says, to}], all}], worst first. */
export function findings(fleet, services, hosts) {
  const [s, h] = [ofServices(services), ofHosts(hosts)];
  const graded = (grade, ...found) => found.filter(({ items }) => items.length).map((one) => ({ ...one, grade }));
  return [
    ...graded("error", s.down, h.unhealthy, h.silent),
    ...graded("warn", s.out, h.unregistered, h.behind, ofOrders(fleet.orders, fresh("overview")), s.release, ofRejected(fleet.rejected)),
    ...graded("note", h.drained, s.drained, s.single, s.onehost, s.versions, h.version),
  ];
}

/** How many things are wrong, those left out that are only worth knowing. */
export function wrong(found) {
  return found.filter(({ grade }) => grade !== "note").reduce((sum, { items }) => sum + items.length, 0);
}

/** The sums that stand above all views. */
export function totals(fleet, services, hosts) {
  const sum = (things, count) => things.reduce((total, one) => total + count(one), 0);
  return {
    services: services.length,
    instances: sum(services, (one) => one.instances.size),
    hosts: hosts.length,
    unhealthy: hosts.filter(({ troubles }) => troubles.includes("unhealthy") || troubles.includes("silent")).length,
    out: sum(services, (one) => one.out),
    drained: sum([...fleet.hosts.values()], (one) => one.drains.length + one.drainsMore),
    drainedHosts: hosts.filter((one) => one.drained).length,
  };
}
