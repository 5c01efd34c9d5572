// Orders to registrars, through the store.

import { tell } from "../../work/api.js";

/** Gives an order; its id. `target` is {host}, or {key} of an instance. */
export async function give(verb, { host, key }) {
  const answer = await tell("/api/fleet/orders", key ? { verb, instance: key } : { verb, host });
  return String(answer.order);
}
