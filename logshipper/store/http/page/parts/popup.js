// A button with a small panel below it, which goes by Escape, by a click beside it, or by leaving it.

import { html, useEffect, useRef } from "../view.js";
import { Icon } from "./icons.js";

/** The panel is `open` by the page's word; `onOpen` asks for a change of it. */
export function Popup({ name, label, icon, text, open, onOpen, children, side = "right" }) {
  const box = useRef(null);
  const button = useRef(null);
  useEffect(() => {
    if (!open) return undefined;
    const first = box.current.querySelector("[data-first], .popup-body input, .popup-body button");
    first?.focus();
    const beside = (event) => {
      if (!box.current?.contains(event.target)) onOpen(false);
    };
    document.addEventListener("pointerdown", beside);
    return () => document.removeEventListener("pointerdown", beside);
  }, [open]);
  const pressed = (event) => {
    if (event.key !== "Escape" || !open) return;
    event.stopPropagation();
    onOpen(false);
    button.current?.focus();
  };
  const left = (event) => {
    if (open && event.relatedTarget && !box.current.contains(event.relatedTarget)) onOpen(false);
  };
  return html`<div class="popup popup-${name}" ref=${box} onKeyDown=${pressed} onFocusOut=${left}>
    <button type="button" ref=${button} class=${text ? "button" : "button icon-only"} aria-haspopup="dialog" aria-expanded=${open} aria-label=${text ? undefined : label} title=${label} onClick=${() => onOpen(!open)}>
      ${icon && html`<${Icon} name=${icon} />`}${text && html`<span>${text}</span>`}
    </button>
    ${open && html`<div class="popup-body from-${side}" role="dialog" aria-label=${label}>${children}</div>`}
  </div>`;
}
