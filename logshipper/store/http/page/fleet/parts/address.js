// The address of the fleet page: the state that it names, and a way to change it.

import { format, parse } from "../pure/url.js";
import { useEffect, useRef, useState } from "../../view.js";

/** The state, a function that takes changes of it, and where the newest state is found. */
export function useAddress() {
  const [state, setState] = useState(() => parse(location.search));
  const latest = useRef(state);
  latest.current = state;
  useEffect(() => {
    const moved = () => setState(parse(location.search));
    addEventListener("popstate", moved);
    return () => removeEventListener("popstate", moved);
  }, []);
  // Letters that are typed, and rows that are opened, are no steps that one wants to go back by.
  const go = useRef((changes, { quiet = false } = {}) => {
    const next = { ...latest.current, ...changes };
    const address = format(next);
    if (address !== location.pathname + location.search) {
      if (quiet) history.replaceState(history.state, "", address);
      else history.pushState(null, "", address);
    }
    latest.current = next;
    setState(next);
  }).current;
  return [state, go, latest];
}
