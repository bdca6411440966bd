// Requests to the API, with the key of the signed-in user. The key is kept in this tab's session storage only.

const KEY = "tillbook.key",
  ACCOUNT = "tillbook.account";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const session = {
  get key() {
    return sessionStorage.getItem(KEY);
  },
  // The account as last read: {account_id, name, currency, sources, time_zone, key}.
  get account() {
    return JSON.parse(sessionStorage.getItem(ACCOUNT) ?? "null");
  },
  set account(account) {
    sessionStorage.setItem(ACCOUNT, JSON.stringify(account));
  },
  names: new Map(), // Tillbook's id of a customer: {name, place}; cleared when the user signs out
  enter(key) {
    sessionStorage.setItem(KEY, key);
  },
  leave() {
    for (const name of [KEY, ACCOUNT]) sessionStorage.removeItem(name);
    remembered.clear();
    this.names.clear();
  },
  refused() {}, // called when the API refuses the key; set by app.js
};

export const encode = encodeURIComponent;
export const v3 = (path) => `/v3/${encode(session.account.account_id)}${path}`;

// A path with its query string. Empty parameters are left out; a list gives one parameter for each of its values.
export function query(path, values) {
  const parameters = new URLSearchParams();
  for (const [name, given] of Object.entries(values)) {
    for (const value of [given].flat()) if (value !== null && value !== undefined && value !== "") parameters.append(name, value);
  }
  return parameters.size ? `${path}?${parameters}` : path;
}

const texts = new WeakMap();
const remembered = new Map(); // path: [ETag, answer] of the polled paths

// The text from which an answer was parsed: parsing rounds long numbers.
export const textOf = (answer) => texts.get(answer);

async function fetched(method, path, body, moreHeaders = {}) {
  const headers = { authorization: `Bearer ${session.key}`, ...moreHeaders };
  if (body !== undefined) headers["content-type"] = "application/json";
  try {
    return await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
      referrerPolicy: "no-referrer",
    });
  } catch {
    throw new Refused(0, "Tillbook cannot be reached. Check your connection, then try again.");
  }
}

async function read(response) {
  const text = await response.text().catch(() => "");
  const answer = parsed(text);
  if (answer instanceof Object) texts.set(answer, text);
  if (response.ok) return answer;
  if (response.status === 401 || response.status === 403) session.refused();
  throw new Refused(
    response.status,
    reason(answer) ?? `Tillbook answered with an error (status ${response.status}). Try again in a moment.`,
  );
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function reason(answer) {
  if (answer.errors) return answer.errors.map((error) => error.message).join("; ");
  if (answer.error?.details?.length) return answer.error.details.map((detail) => detail.message).join("; ");
  return answer.error?.message;
}

export const call = async (method, path, body) => read(await fetched(method, path, body));

// The API answers 503 if it could not finish a report in time. A retry continues where it stopped.
async function getWithRetries(path, headers) {
  for (let tries = 0; ; tries += 1) {
    const response = await fetched("GET", path, undefined, headers);
    if (response.status !== 503 || tries === 20) return response;
    await pause(1000 * Math.min(5, Number(response.headers.get("retry-after")) || 1));
  }
}

export const get = async (path) => read(await getWithRetries(path));

// Polls a path. Returns the same object as the last time if nothing changed. The API then sends no body if the last
// answer had an ETag.
export async function look(path) {
  const [tag, before] = remembered.get(path) ?? [];
  const response = await getWithRetries(path, tag && { "if-none-match": tag });
  if (response.status === 304) {
    await response.text(); // otherwise the browser treats the request as canceled
    return before;
  }
  const answer = await read(response),
    newTag = response.headers.get("etag");
  if (before && textOf(before) === textOf(answer)) return before;
  if (newTag) remembered.set(path, [newTag, answer]);
  return answer;
}

// {text, cursor}: a page of CSV, and the cursor of the next page.
export async function csvPage(path) {
  const response = await getWithRetries(path);
  if (!response.ok) await read(response);
  return { text: await response.text(), cursor: response.headers.get("x-next-cursor") };
}

// The promised answer, or null if the API answered 404.
export async function orNothing(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export const pause = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

// Polls a job each second, and calls `onState` with each state. Returns the job when it is done or failed, or null once
// `alive()` is false. Throws if the key is refused, or if more than five polls in a row fail.
export async function followJob(id, onState, alive) {
  for (let failures = 0; alive();) {
    try {
      const job = await get(`/v1/jobs/${encode(id)}`);
      failures = 0;
      onState(job);
      if (job.status === "done" || job.status === "failed") return job;
    } catch (error) {
      if (error.status === 401 || error.status === 403 || (failures += 1) > 5) throw error;
    }
    await pause(1000);
  }
  return null;
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// The command reads the key from the shell's environment, so that it never contains the key itself.
export function curl(method, path, body) {
  const lines = [
    `curl ${method === "GET" ? "" : `-X ${method} `}${quoted(location.origin + path)}`,
    `  -H "Authorization: Bearer $TILLBOOK_KEY"`,
  ];
  if (body !== undefined) lines.push("  -H 'Content-Type: application/json'", `  -d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n");
}
