// Calls of the REST API. The broker's key lives in this module alone: not in storage, not in the
// document, not in an address.

const TIMEOUT_MS = 15000;
let key = null;

export function setKey(given) {
  key = given;
}

export function hasKey() {
  return key !== null;
}

export function withKey(use) {
  return key === null ? undefined : use(key);
}

// Resolves to {status, body}; rejects where no answer came, so that the outcome is unknown.
export async function call(method, path, body = undefined, headers = {}) {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), TIMEOUT_MS);
  const sent = { ...headers };
  if (key !== null) sent.Authorization = `Bearer ${key}`;
  if (body !== undefined) sent["Content-Type"] = "application/json";
  try {
    const answer = await fetch(path, {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: ending.signal,
      cache: "no-store",
      credentials: "omit",
    });
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  } finally {
    clearTimeout(timer);
  }
}

// The body of a successful GET; null where there is none now.
export async function get(path) {
  try {
    const answer = await call("GET", path);
    return answer.status === 200 ? answer.body : null;
  } catch {
    return null;
  }
}
