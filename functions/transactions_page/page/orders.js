// One order id: whether it counts, for whom, and how it came to its amount.

import { SOURCES, badge, facts, h, heading, loading, money, pretty, table, when } from "/page/dom.js";
import { encode, get, orNothing, textOf, v3 } from "/page/api.js";
import { steps } from "/page/charts.js";
import { explain } from "/page/reasons.js";
import { COLUMNS, copyAsCurl, row, verdict } from "/page/transactions.js";

const pathOf = (place) => (place.source === "orders_api" ? `/v1/order/${encode(place.id)}`
  : v3(`/orders/${encode(place.provider)}/${encode(place.id)}`));

// The newest requests about it, and behind them all that were applied: an order may count however many came after it.
async function requests(path, alive) {
  const page = await get(path);
  const found = page.transactions;
  for (let cursor = page.next_cursor; cursor !== null && alive();) {
    const older = await get(`${path}&status=applied&cursor=${encode(cursor)}`);
    found.push(...older.transactions);
    cursor = older.next_cursor;
  }
  return { found, whole: page.next_cursor === null };
}

export async function order(main, id, alive) {
  main.append(heading(`Order ${id}`), loading("the order"));
  const path = `/v1/transactions?order_id=${encode(id)}&limit=200`;
  const { found, whole } = await requests(path, alive);
  if (!alive()) return;
  const places = [...new Map(found.filter((t) => t.status === "applied")
    .map((t) => [`${t.source}/${t.provider}`, { source: t.source, provider: t.provider, id }])).values()];
  const told = await Promise.all(places.map(async (place) => {
    const history = (await orNothing(get(`${pathOf(place)}/history`)))?.history ?? [];
    const gone = !history.length || history.at(-1).action === "deleted";
    return { place, history, order: gone ? null : await orNothing(get(pathOf(place))) };
  }));
  if (!alive()) return;
  main.replaceChildren(heading(`Order ${id}`));
  for (const entry of told) main.append(...standing(entry));
  const refused = found.filter((t) => t.status !== "applied");
  if (!told.length) main.append(refused.length ? notCounted(refused) : unknown());
  if (refused.length) {
    main.append(h("section", { class: "card" }, h("h2", {}, "Requests about it that did not count"),
      table("Requests that did not count", COLUMNS, refused.map(row)),
      !whole && h("p", { class: "hint" }, "The latest are shown.")));
  }
  main.append(copyAsCurl("GET", path));
}

function notCounted(refused) {
  const { lines } = explain(refused[0]);
  return verdict("It does not count.", "bad", [`The latest request about it was ${refused[0].status}: ${refused[0].reason ?? "see below"}.`, ...lines]);
}

function unknown() {
  return verdict("No request about this order is known.", "bad", [
    "Was it sent? A request without a valid key leaves no trace: its answer was 401 or 403. Neither does one that the gateway refused (413, 429, 503).",
    "Was it sent under another order_id, for example with a prefix?",
    "Was it sent to this account and this address?",
    "If it was sent a moment ago, it may still be queued: look up its request_id.",
    "Requests that did not count are kept for 30 days; orders that count stay.",
  ]);
}

function standing({ place, order, history }) {
  const last = history.at(-1);
  const value = last && last.lifetime_value;
  const title = place.provider ? `${SOURCES[place.source]}, ${place.provider}` : SOURCES[place.source];
  const person = last?.person;
  const lines = [];
  let kind = "";
  if (!order) {
    kind = "bad";
    lines.push("It was deleted; its amount went with it. Its order_id is free for a new order.");
  } else {
    if (!person) { kind = "warn"; lines.push("It names nobody: no e-mail and no customer id, so it counts towards no person's LTV."); }
    if (order.grand_total === null) { kind = "warn"; lines.push("No event has told its total yet: it counts as 0 until one does."); }
    if (order.flags?.includes("refunded_more_than_total")) { kind = "warn"; lines.push("More was refunded than its total, so it takes away from LTV."); }
    if (history.some((step) => step.late)) lines.push("Some of its events came late. They stand in their own time and set nothing back.");
    if (new Set(history.map((step) => step.person)).size > 1) lines.push("It moved from one person to another with an event.");
  }
  const verdictTitle = order ? `It counts: ${money(value.amount, value.currency)}` : "It does not count any more.";
  const points = history.filter((step) => step.lifetime_value.currency === value?.currency)
    .map((step) => ({ at: step.occurred_at, amount: step.lifetime_value.amount, text: step.name }));
  const change = (step) => {
    const before = step.before?.currency === step.lifetime_value.currency ? step.before.amount : "0";
    return money(minus(step.lifetime_value.amount, before), step.lifetime_value.currency, true);
  };
  return [
    verdict(`${verdictTitle} (${title})`, kind, lines),
    h("section", { class: "card" }, facts([
      ["Person", person && h("a", { href: `#/person/${encode(person)}` }, person)],
      ["Status", order?.status && badge(order.status)], ["Total", order && (order.grand_total ?? order.total)],
      ["Refunded", order?.refund_amount], ["Currency", order?.currency], ["Id", order?.id],
    ])),
    history.length > 0 && h("section", { class: "card" }, h("h2", {}, "Its way to LTV, step by step"),
      points.length > 1 && steps(`What order ${place.id} adds to LTV`, value.currency, points),
      table("History of the order", [["Happened", "time"], ["What", "full"], ["Change", "number"], ["Adds to LTV", "number"], ["Received", "time wide"]],
        history.map((step) => [when(step.occurred_at, true),
          [h("a", { href: `#/request/${encode(step.request_id)}` }, step.name), step.late && [" ", h("span", { class: "badge late" }, "late")]],
          change(step), money(step.lifetime_value.amount, step.lifetime_value.currency), when(step.received_at, true)]))),
    order && h("details", { class: "card" }, h("summary", {}, "As the API tells it"), h("pre", { tabindex: "0" }, pretty(textOf(order)))),
    copyAsCurl("GET", pathOf(place)),
  ].filter(Boolean);
}

// Exactly, by whole units of the fourth decimal: a number would round amounts of many digits.
function minus(a, b) {
  const units = (text) => { const [whole, rest = ""] = text.replace("-", "").split("."); return BigInt(whole + rest.padEnd(4, "0")) * (text.startsWith("-") ? -1n : 1n); };
  const difference = units(a) - units(b), size = (difference < 0n ? -difference : difference).toString().padStart(5, "0");
  const rest = size.slice(-4).replace(/0{1,2}$/, "");
  return `${difference < 0n ? "-" : ""}${size.slice(0, -4)}.${rest}`;
}
