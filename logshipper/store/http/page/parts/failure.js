// What is left when the page itself has a fault: no blank window, but what to tell and what to do.

import { Component, html } from "../view.js";

export class Failure extends Component {
  componentDidCatch(error) {
    console.error(error);
    this.setState({ error });
  }

  render({ children, calm = "Your lines are safe: this is a fault of the page, not of the store." }, { error }) {
    if (!error) return children;
    return html`<main class="empty" role="alert">
      <h2>The page has failed</h2>
      <p>${String(error.message ?? error)}</p>
      <p>${calm}</p>
      <button type="button" class="primary" onClick=${() => location.reload()}>Load it again</button>
    </main>`;
  }
}
