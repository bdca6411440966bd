// The API, with the key of who is signed in. The key lives in this tab's session storage and nowhere else.

const KEY = "tillbook.key";

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const session = {
  account: null, // {account_id, currency, sources, key}
  get key() { return sessionStorage.getItem(KEY); },
  enter(key) { sessionStorage.setItem(KEY, key); },
  leave() { sessionStorage.removeItem(KEY); this.account = null; },
  refused() {}, // what to do when the key no longer works
};

export const encode = encodeURIComponent;
export const v3 = (path) => `/v3/${encode(session.account.account_id)}${path}`;

export async function call(method, path, body) {
  const headers = { authorization: `Bearer ${session.key}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store",
      credentials: "omit", redirect: "error", referrerPolicy: "no-referrer" });
  } catch {
    throw new Refused(0, "The API cannot be reached. Is the stack running?");
  }
  const text = await response.text().catch(() => "");
  const answer = parsed(text);
  if (answer instanceof Object) texts.set(answer, text);
  if (response.ok) return answer;
  if (response.status === 401 || response.status === 403) session.refused();
  throw new Refused(response.status, reason(answer) ?? `The API answered ${response.status}.`);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

const texts = new WeakMap();

// An answer as it came: what was parsed has rounded the numbers of many digits.
export const textOf = (answer) => texts.get(answer);

function reason(answer) {
  if (answer.errors) return answer.errors.map((error) => error.message).join("; ");
  if (answer.error?.details?.length) return answer.error.details.map((detail) => detail.message).join("; ");
  return answer.error?.message ?? answer.message;
}

export const get = (path) => call("GET", path);

export async function orNothing(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

// Runs until `done`, a second between two looks. `told` gets each state of the job.
export async function followJob(id, told, alive) {
  for (let failures = 0; alive();) {
    try {
      const job = await get(`/v1/jobs/${encode(id)}`);
      failures = 0;
      told(job);
      if (job.status === "done" || job.status === "failed") return job;
    } catch (error) {
      if (error.status === 401 || error.status === 403 || (failures += 1) > 5) throw error;
    }
    await new Promise((wake) => setTimeout(wake, 1000));
  }
  return null;
}

const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

// The key is never written out: it comes from the shell's environment.
export function curl(method, path, body) {
  const lines = [`curl ${method === "GET" ? "" : `-X ${method} `}${quoted(location.origin + path)}`,
    `  -H "Authorization: Bearer $TILLBOOK_KEY"`];
  if (body !== undefined) lines.push("  -H 'Content-Type: application/json'", `  -d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n");
}
