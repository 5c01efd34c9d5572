// The keyboard: single keys, for as long as nobody types and no dialog is open.

import { useEffect, useRef } from "../view.js";

function types(target) {
  if (target.isContentEditable || target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  return target.tagName === "INPUT" && !["checkbox", "radio", "button"].includes(target.type);
}

/** Calls `keys[key]` for a key that is pressed alone. */
export function useKeys(keys) {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const pressed = (event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
      if (types(event.target) || document.querySelector("dialog[open]")) return;
      // Enter on a button is the button's, and so is a blank.
      if (event.key === "Enter" && event.target.closest?.("button, a, input, summary")) return;
      const work = latest.current[event.key];
      if (!work || event.repeat && !"jk".includes(event.key)) return;
      event.preventDefault();
      work();
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}
