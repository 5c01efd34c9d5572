// What an order does to the services: said before it is given.

/** Whether an instance counts as one that answers. */
const isUp = (one) => one.state === "up";

/**
 * What a drain leaves of each service that it takes something from, worst first:
 * {key, taken, left, hosts, last}. `last` says that it takes the last one that is up.
 *
 * `target` is {host} or {host, service, endpoint}.
 */
export function drained(services, target) {
  const found = [];
  for (const service of services) {
    if (target.service !== undefined && target.service !== service.key) continue;
    let [taken, takenUp, left] = [0, 0, 0];
    const hosts = new Set();
    for (const one of service.instances.values()) {
      if (isTarget(one, target)) {
        taken += 1;
        if (isUp(one)) takenUp += 1;
      } else if (isUp(one)) {
        left += 1;
        hosts.add(one.host);
      }
    }
    if (taken) found.push({ key: service.key, taken, left, hosts: hosts.size, last: left === 0 && takenUp > 0 });
  }
  return found.sort((a, b) => Number(b.last) - Number(a.last) || a.left - b.left || (a.key < b.key ? -1 : 1));
}

function isTarget(one, { host, endpoint }) {
  return endpoint === undefined ? one.host === host : one.endpoint === endpoint;
}

/** The drained instances that an undrain lets back in. */
export function returning(host, target) {
  const drains = host?.drains ?? [];
  if (target.endpoint === undefined) return drains;
  return drains.filter((one) => one.endpoint === target.endpoint && one.service === target.service);
}

const ENDED = new Set(["done", "failed", "lapsed"]);

/** Whether an order has come to its end. */
export function isEnded(order) {
  return ENDED.has(order.state);
}

/** What an order's state means. */
export const STATES = {
  __proto__: null, // a state may be any word, one that every object has among them
  sending: "The order is on its way to the store",
  waiting: "The registrar of that host has not taken it up yet",
  running: "The registrar carries it out",
  done: "Done",
  failed: "It failed",
  lapsed: "No registrar took it up in time: nothing was done",
};

/** What an order is about, in the words of people: its target may be the key of an instance. */
export function subject(order) {
  const [, service, ip, port] = /^\/([^/]+)\/(.+)-(\d+)$/.exec(order.target) ?? [];
  return service ? `${ip}:${port} of ${service}` : order.target;
}

/** Orders, those that go on first, then the newest. */
export function inOrder(orders) {
  return [...orders.values()].sort(
    (a, b) => Number(isEnded(a)) - Number(isEnded(b)) || (a.at < b.at ? 1 : a.at > b.at ? -1 : 0),
  );
}
