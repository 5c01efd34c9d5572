// Who is not signed in hands in a token.

import { signIn } from "../work/api.js";
import { html, useRef, useState } from "../view.js";

/** The form; `onSignedIn` is called when the store has taken the token. */
export function SignIn({ onSignedIn, title = "Logs", onCancel, why = "This log store shows its lines to those with a token that may read." }) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  const submitted = async (event) => {
    event.preventDefault();
    setBusy(true);
    setProblem("");
    try {
      await signIn(field.current.value.trim());
      onSignedIn();
    } catch (error) {
      // A store, or a proxy before it, that knows no sessions asks with the browser's own form.
      if ([404, 405].includes(error.status)) location.reload();
      setProblem(error.status === 401 ? "This is not a token that may read here." : [error.message, error.fix].filter(Boolean).join(". "));
      setBusy(false);
      field.current?.focus();
    }
  };
  return html`<main class="signin">
    <form onSubmit=${submitted} aria-labelledby="signin-title">
      <img src=${new URL("../icon.svg", import.meta.url).href} alt="" width="40" height="40" />
      <h1 id="signin-title">${title}</h1>
      <p>${why}</p>
      <label>Token <input ref=${field} type="password" name="token" autocomplete="current-password" required autofocus aria-invalid=${problem ? "true" : undefined} aria-describedby=${problem ? "signin-problem" : undefined} /></label>
      ${problem && html`<p class="wrong" id="signin-problem" role="alert">${problem}</p>`}
      <button type="submit" class="primary" disabled=${busy}>${busy ? "Signing in…" : "Sign in"}</button>
      ${onCancel && html`<button type="button" class="button" onClick=${onCancel}>Cancel</button>`}
    </form>
  </main>`;
}
