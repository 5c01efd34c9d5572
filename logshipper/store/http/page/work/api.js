// Questions to the store, and what it says when it does not answer them.

/** An answer that is none: the HTTP status (0: there was no answer), what is wrong, what to do. */
export class Refused extends Error {
  constructor(status, problem, fix = "") {
    super(problem);
    this.status = status;
    this.fix = fix;
  }
}

// Whoever asks so is a page that has a form of its own: no browser's window comes between.
const HEADERS = { Accept: "application/json", "X-Requested-With": "page" };
const SENDING = { ...HEADERS, "Content-Type": "application/json" };

/** The JSON that a path answers. */
export async function ask(path, signal) {
  let response;
  try {
    response = await fetch(path, { signal, headers: HEADERS });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The log store cannot be reached", "Is it running? Is the network there?");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return body;
  throw refusalOf(response.status, body);
}

/** What the store means by a status and the JSON beside it, if there was any. */
export function refusalOf(status, body) {
  if (body?.error) return new Refused(status, body.error, body.fix ?? "");
  const usual = {
    401: ["A token is needed", ""],
    403: ["This token may not read here", "Sign in with another one"],
    429: ["The log store has too much to do", "Try again in a moment"],
    503: ["The log store is not ready", "Try again in a moment"],
  };
  const [problem, fix] = usual[status] ?? [`The log store answers HTTP ${status}`, ""];
  return new Refused(status, problem, fix);
}

/** Hands a token in; the browser holds a session afterwards. */
export async function signIn(token) {
  await tell("/api/login", { token });
}

/** Hands something in; what is answered, an empty object where that is nothing. */
export async function tell(path, what) {
  const body = JSON.stringify(what);
  const response = await fetch(path, { method: "POST", headers: SENDING, body }).catch(() => null);
  if (response === null) throw new Refused(0, "The log store cannot be reached");
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw refusalOf(response.status, answer);
  return answer ?? {};
}

/** Who one is to the store; null where it does not say. */
export async function whoami() {
  const answer = await fetch("/api/whoami", { headers: HEADERS }).catch(() => null);
  return answer?.ok ? answer.json() : null;
}

/** Ends the session. */
export async function signOut() {
  await fetch("/api/logout", { method: "POST", headers: SENDING, body: "{}" }).catch(() => null);
}
