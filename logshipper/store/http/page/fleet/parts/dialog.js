// A dialog, which gives the focus back to where it was.

import { Icon } from "../../parts/icons.js";
import { html, useEffect, useRef } from "../../view.js";

/** The dialog; `kind` is its class, `role` alertdialog where a yes is asked for. */
export function Dialog({ kind, title, role, onClose, children }) {
  const dialog = useRef(null);
  useEffect(() => {
    const before = document.activeElement;
    dialog.current.showModal();
    dialog.current.querySelector("[data-first]")?.focus();
    // Nothing beside a dialog takes the focus before the dialog has gone.
    return () => queueMicrotask(() => before?.isConnected && before.focus({ preventScroll: true }));
  }, []);
  const cancelled = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog class=${kind} ref=${dialog} role=${role} aria-labelledby="dialog-title" onClose=${onClose} onCancel=${cancelled}>
    <header><h2 id="dialog-title">${title}</h2><button type="button" class="plain icon-only" aria-label="Close" title="Close (esc)" onClick=${onClose}><${Icon} name="close" /></button></header>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}
