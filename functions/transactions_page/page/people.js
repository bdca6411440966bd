// One person: LTV, how it grew, what they did.

import { SOURCES, empty, facts, failed, h, heading, loading, money, say, table, when } from "/page/dom.js";
import { call, encode, followJob, get, orNothing, session, v3 } from "/page/api.js";
import { steps } from "/page/charts.js";
import { copyAsCurl, verdict } from "/page/transactions.js";

export async function search(main, _asked, alive) {
  let searches = 0;
  const input = h("input", { id: "person", required: true, autocomplete: "off", maxlength: "300" });
  const said = h("p", { class: "error", role: "alert" });
  const unknown = h("div");
  const form = h("form", { class: "card", onsubmit: async (event) => {
    event.preventDefault();
    said.textContent = "";
    unknown.replaceChildren();
    const text = input.value.trim(), mine = (searches += 1);
    const late = () => !alive() || mine !== searches;
    try {
      const path = v3(`/people/${encode(text)}`);
      const person = text && await orNothing(get(path));
      if (late()) return;
      if (person) location.hash = `#/person/${encode(person.id)}`;
      else said.textContent = "Nobody is known by that. Orders are known by e-mail, its SHA-256, person_id or customer_id.";
      // The queue or a dead letter may name them.
      if (text && !person) unknown.replaceChildren(erase(path, alive));
    } catch (error) {
      if (!late()) said.textContent = error.message;
    }
  } }, h("div", { class: "field" }, h("label", { for: "person" }, "E-mail, its SHA-256, person_id or customer_id"), input),
  said, h("button", { type: "submit" }, "Find"),
  h("p", { class: "hint" }, "An e-mail is hashed as soon as it arrives; it is stored and logged nowhere."));
  main.append(heading("People"), form, unknown);
}

export async function person(main, id, alive) {
  main.append(heading("Person"), loading("the person"));
  const path = v3(`/people/${encode(id)}`);
  const found = encode(id) ? await orNothing(get(path)) : null; // without an id it is one whom a search did not find
  if (!alive()) return;
  if (!found) {
    main.replaceChildren(heading("Person"), empty("Nobody is known by that.", h("p", {}, "They may have been erased, or their orders purged.")));
    return;
  }
  const ltv = Object.entries(found.lifetime_value);
  main.replaceChildren(heading("Person"),
    h("dl", { class: "tiles" }, ltv.map(([currency, amount]) => h("div", {}, h("dt", {}, "Lifetime value"), h("dd", {}, money(amount, currency)))),
      h("div", {}, h("dt", {}, "Orders"), h("dd", {}, String(found.orders_count)))),
    h("section", { class: "card" }, facts([
      ["Id", found.id], ["E-mail (SHA-256)", found.email_sha256], ["person_id", found.person_id], ["customer_id", found.customer_id],
      ["First order", found.first_order_at && when(found.first_order_at, true)], ["Last order", found.last_order_at && when(found.last_order_at, true)],
      ...Object.entries(found.lifetime_value_by_source).map(([source, values]) => [`By ${SOURCES[source]}`,
        Object.entries(values).map(([currency, amount]) => money(amount, currency)).join(", ")]),
    ])));
  const growth = h("section", {}, loading("the timeline"));
  main.append(growth);
  try {
    await timeline(growth, path, found, alive);
  } catch (error) {
    growth.replaceChildren(failed(error));
  }
  // Meanwhile `main` may be another view's.
  if (!alive()) return;
  main.append(erase(path, alive), copyAsCurl("GET", path));
}

async function timeline(box, path, found, alive) {
  const first = await get(`${path}/activity?limit=200&effects=true`);
  const orders = await get(`${path}/orders?limit=50`);
  if (!alive()) return;
  const list = h("ol", { class: "timeline" });
  let entries = [], cursor = first.next_cursor;
  const draw = (page) => {
    entries = [...entries, ...page.activity];
    list.append(...page.activity.map((entry) => h("li", {},
      h("strong", {}, entry.name), " ", entry.effects.map((effect) => [money(effect.amount, effect.currency, true), " "]),
      h("div", {}, h("a", { href: `#/order/${encode(entry.order.order_id ?? entry.order.id)}` }, `Order ${entry.order.order_id ?? entry.order.id}`), " · ",
        h("a", { href: `#/request/${encode(entry.request_id)}` }, when(entry.occurred_at, true))))));
  };
  draw(first);
  const more = h("button", { type: "button", class: "quiet", hidden: cursor === null, onclick: async () => {
    more.disabled = true;
    try {
      const page = await get(`${path}/activity?limit=200&effects=true&cursor=${encode(cursor)}`);
      cursor = page.next_cursor;
      draw(page);
      more.hidden = cursor === null;
    } catch (error) {
      say(error.message);
    }
    more.disabled = false;
  } }, "Show older ones");
  const charts = Object.entries(found.lifetime_value).map(([currency, amount]) => grown(entries, currency, amount, first.next_cursor === null));
  box.replaceChildren(...charts.filter(Boolean).map((chart) => h("div", { class: "card" }, chart)),
    orders.orders.length ? h("div", { class: "card" }, h("h2", {}, "Orders"), table("Orders", [["Order", ""], ["Status", "wide"], ["Amount", "number"]],
      orders.orders.map((order) => [h("a", { href: `#/order/${encode(order.order_id)}` }, order.order_id), order.status ?? "",
        money(order.lifetime_value ?? order.total, order.currency)])),
    orders.next_cursor && h("p", { class: "hint" }, "The latest 50 are shown.")) : null,
    h("div", { class: "card" }, h("h2", {}, "Timeline"), entries.length ? list : h("p", {}, "No activity."), more));
}

// Backwards from what stands now, so that the last point is exact; each activity did what it did when it was applied.
// Those of a source that the account does not count changed nothing of it. Only Shopper Activity's name a provider.
function grown(entries, currency, amount, whole) {
  let units = toUnits(amount);
  const points = [];
  for (const entry of entries) {
    if (!session.account.sources.includes(entry.order.provider ? "shopper_activity" : "orders_api")) continue;
    const change = entry.effects.filter((effect) => effect.currency === currency).reduce((sum, effect) => sum + toUnits(effect.amount), 0n);
    if (change === 0n) continue;
    points.unshift({ at: entry.occurred_at, amount: toText(units), text: entry.name });
    units -= change;
  }
  if (!points.length) return null;
  if (units !== 0n) points.unshift({ at: points[0].at, amount: toText(units), text: whole ? "Orders that moved here, or events that are gone" : "Earlier activity" });
  return steps(`Lifetime value in ${currency}`, currency, points);
}

function toUnits(text) {
  const [whole, rest = ""] = text.replace("-", "").split(".");
  return BigInt(whole + rest.padEnd(4, "0")) * (text.startsWith("-") ? -1n : 1n);
}

function toText(units) {
  const size = (units < 0n ? -units : units).toString().padStart(5, "0");
  return `${units < 0n ? "-" : ""}${size.slice(0, -4)}.${size.slice(-4).replace(/0{1,2}$/, "")}`;
}

function erase(path, alive) {
  const word = h("input", { id: "word", autocomplete: "off" });
  const button = h("button", { type: "submit", class: "danger", disabled: true }, "Erase this person");
  const bar = h("div", { role: "status" });
  word.addEventListener("input", () => { button.disabled = word.value !== "erase"; });
  return h("details", { class: "card" }, h("summary", {}, "Erase this person"),
    h("p", {}, "Takes out all orders of both APIs, counted or not, all activity, LTV, audience records and dead letters, also what is still queued. It cannot be undone."),
    h("form", { onsubmit: async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        await showJob(bar, (await call("DELETE", path)).job_id, alive);
      } catch (error) {
        bar.replaceChildren(failed(error));
      }
    } }, h("div", { class: "field" }, h("label", { for: "word" }, "Type erase to confirm"), word), button, bar));
}

export async function showJob(box, id, alive) {
  const bar = h("progress", { max: "1", "aria-label": "Progress" });
  const text = h("p", {});
  box.replaceChildren(bar, text);
  const job = await followJob(id, (state) => {
    if (state.status === "done") bar.value = 1;
    else if (state.total) bar.value = state.done / state.total;
    text.textContent = state.status === "failed" ? `Failed: ${state.error}` : `${state.status}: ${state.done} of ${state.total}`;
  }, alive);
  if (job?.status === "done") text.textContent = `Done: ${job.done}.`;
  return job;
}

export { verdict };
