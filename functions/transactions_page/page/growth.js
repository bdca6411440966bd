// The timeline of a customer, and the chart of their lifetime value.

import { h } from "/page/dom.js";
import { addMonths, date, dayOf, isZero, minus, money, month, shortMoney, sum, zoneName } from "/page/format.js";
import { get, query, session } from "/page/api.js";
import { button, card, failed, soft, under, when } from "/page/ui.js";
import { line } from "/page/charts.js";
import { ACTIONS } from "/page/words.js";
import { orderLink } from "/page/links.js";

export const ACTIVITY = 100; // events on a page

// The card of a customer's events, newest first. `path` is the customer's in the API, `first` the first page of events.
// `onRead` is called with all events read so far, and whether no more exist.
export function timeline(path, first, alive, onRead) {
  const list = h("ol", { class: "steps plain" }),
    errorBox = h("div", {});
  let entries = [],
    cursor = first.next_cursor;
  const draw = (page) => {
    entries = [...entries, ...page.activity];
    list.append(...page.activity.map(entryOf));
    onRead(entries, cursor === null);
  };
  const more = button("Show older events", {
    kind: "small",
    hidden: cursor === null,
    onclick: async () => {
      more.disabled = true;
      try {
        const page = await get(query(`${path}/activity`, { limit: ACTIVITY, effects: true, cursor }));
        if (!alive()) return;
        errorBox.replaceChildren();
        cursor = page.next_cursor;
        draw(page);
        more.hidden = cursor === null;
      } catch (error) {
        errorBox.replaceChildren(failed(error));
      }
      more.disabled = false;
    },
  });
  draw(first);
  return card(
    "Timeline",
    { id: "timeline", note: `Newest first, ${zoneName()}` },
    h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Events, newest first" }, list),
    errorBox,
    more,
  );
}

const actionOf = (entry) => entry.order.action ?? entry.name.split(" ")[0].toLowerCase();
const orderOf = (entry) => ({ ...entry.order, order_id: entry.order.order_id ?? entry.order.id });

function entryOf(entry) {
  const order = orderOf(entry),
    changes = entry.effects.filter((effect) => !isZero(effect.amount));
  const kind = !changes.length ? "" : changes[0].amount.startsWith("-") ? "down" : "up";
  return h(
    "li",
    { class: kind },
    h(
      "div",
      { class: "step-what" },
      h("strong", {}, ACTIONS[actionOf(entry)] ?? entry.name),
      " ",
      orderLink(order, ""),
      under(when(entry.occurred_at, { dated: true })),
    ),
    h(
      "div",
      { class: "step-sum" },
      changes.length
        ? changes.map((effect) => h("div", {}, h("strong", {}, money(effect.amount, effect.currency, { sign: true }))))
        : soft("No change"),
    ),
  );
}

// Growth --------------------------------------------------

// A chart for each currency. `entries`: the newest events; `complete`: whether these are all events of the customer.
export const growthCards = (entries, person, complete) =>
  Object.entries(person.lifetime_value).map(([currency, amount]) => growthCard(entries, currency, amount, complete));

// Points are computed backwards from the current value, so that the last one is exact. An event's effect is the change
// that it made when it was applied, even if it arrived late. Events of a source that is turned off are left out.
function growthCard(entries, currency, amount, complete) {
  const title = `Lifetime value in ${currency}`,
    options = { id: `ltv-${currency}`, note: `After each order and refund, ${zoneName()}` };
  const points = [];
  let value = amount;
  for (const entry of entries) {
    if (!session.account.sources.includes(entry.order.provider ? "shopper_activity" : "orders_api")) continue;
    const change = sum(entry.effects.filter((effect) => effect.currency === currency).map((effect) => effect.amount));
    if (isZero(change)) continue;
    points.unshift({
      at: entry.occurred_at,
      value,
      change,
      text: `${ACTIONS[actionOf(entry)] ?? entry.name} ${orderOf(entry).order_public_id ?? orderOf(entry).order_id}`,
    });
    value = minus(value, change);
  }
  if (points.length && !isZero(value))
    points.unshift({ at: points[0].at, value, change: value, text: complete ? "Orders that moved here" : "Earlier activity" });
  if (points.length < 3)
    return card(
      title,
      options,
      h("p", { class: "hint" }, points.length ? "A chart appears after the third order or refund." : "No event has changed it."),
    );
  const first = Date.parse(points[0].at),
    length = Date.now() - first || 1,
    position = (iso) => Math.min(1, Math.max(0, (Date.parse(iso) - first) / length));
  return card(
    title,
    options,
    line({
      label: title,
      names: ["Lifetime value"],
      step: true,
      dots: true,
      height: 230,
      file: "lifetime-value.csv",
      marks: months(points[0].at, position),
      short: (size) => shortMoney(size, currency),
      points: points.map((point) => ({
        at: position(point.at),
        label: `${date(point.at, { year: true })} · ${point.text}`,
        day: point.at,
        values: [Number(point.value)],
        texts: [money(point.value, currency)],
        exact: [point.value],
        titles: [`${date(point.at)} · ${point.text}`],
        note: () => [money(point.change, currency, { sign: true }), " with this event"],
      })),
    }),
  );
}

// The marks of the time axis, as [position, text]: each month, or both ends if fewer than two months begin in between.
function months(from, position) {
  const found = [],
    end = new Date().toISOString();
  for (let day = addMonths(dayOf(from), 1); day <= end; day = addMonths(day, 1)) found.push([position(day), month(day)]);
  return found.length > 1
    ? found
    : [
        [0, date(from)],
        [1, date(end)],
      ];
}
