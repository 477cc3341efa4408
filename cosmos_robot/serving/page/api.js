// Requests to this server, with the key that it wants.

const STORED = "cosmos-robot key";

/** What the server refused: its status (0 where it cannot be reached) and its sentence. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let askForKey = () => Promise.reject(new Refusal(401, "this server wants a key."));

/** Name the function that asks the user for a key: given whether one was refused, it promises another. */
export function onKeyWanted(ask) {
  askForKey = ask;
}

let asked = null;

function wantKey(used) {
  const refused = used !== null;
  if (used !== sessionStorage.getItem(STORED)) return Promise.resolve(); // another request got one meanwhile
  asked ??= askForKey(refused)
    .then((key) => sessionStorage.setItem(STORED, key))
    .finally(() => (asked = null));
  return asked;
}

/** Ask the server; gives `{status, body}` of an answer in JSON (body null where there is none). */
export async function ask(path, { method = "GET", body, keepalive = false } = {}) {
  for (;;) {
    const key = sessionStorage.getItem(STORED);
    const headers = {};
    if (key !== null) headers.Authorization = `Bearer ${key}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const answer = await send(path, {
      method,
      headers,
      keepalive,
      cache: "no-store",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (answer.status === 401) await wantKey(key);
    else return read(answer);
  }
}

async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Refusal(0, "the server cannot be reached.");
  }
}

async function read(answer) {
  const text = await answer.text();
  const body = text === "" ? null : JSON.parse(text);
  if (!answer.ok) throw new Refusal(answer.status, body?.error?.message ?? `the server answered ${answer.status}.`);
  return { status: answer.status, body };
}

/** A random UUID; `crypto.randomUUID` is there on HTTPS and this machine alone. */
export function randomId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** Bytes of a text in base64. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
}
