// Orders of both APIs: what was sold, to whom, and which amount counts. The API lists the newest orders first. If the user
// searches for an order number, it lists exact matches before longer numbers.

import { h } from "/page/dom.js";
import { count, isZero, money, plural, sum } from "/page/format.js";
import { csvPage, get, look, query } from "/page/api.js";
import { badge, button, empty, failed, heading, skeleton, soft, under, when } from "/page/ui.js";
import { csvOfPages, table } from "/page/table.js";
import { chip, choiceField, choosePeriod, period, rangeField, rangeText, searchBox, state, textField } from "/page/filters.js";
import { SOURCES, providerName, statusOf } from "/page/words.js";
import { customerLink, orderAddress, orderLink } from "/page/links.js";
import { showNames } from "/page/names.js";

const PAGE = 50;
const TABS = [
  ["", "All"],
  ["placed", "Placed"],
  ["paid", "Paid"],
  ["fulfilled", "Fulfilled"],
  ["refunded", "Refunded"],
  ["canceled", "Canceled"],
  ["submitted", "Submitted"],
  ["voided", "Voided"],
];
const DEFAULTS = {
  dates: "30d",
  status: "",
  source: "",
  provider: "",
  currency: "",
  promo_code: "",
  min_total: "",
  max_total: "",
  text: "",
  name: "", // the beginning of the order number
};

export const COLUMNS = [
  {
    key: "order",
    name: "Order",
    cell: (order) => [orderLink(order), under(h("span", { class: "narrow-only" }, providerName(order.provider)))],
  },
  { key: "date", name: "Placed", cell: (order) => when(order.ordered_at, { dated: true }) },
  {
    key: "customer",
    name: "Customer",
    cell: (order) =>
      order.person
        ? [customerLink({ id: order.person }), order.new_buyer && h("span", { class: "tag" }, "First order")]
        : soft("No customer"),
  },
  { key: "status", name: "Status", cell: (order) => badge(...statusOf(order)) },
  {
    key: "items",
    name: "Items",
    number: true,
    cell: (order) => count(order.items.reduce((total, item) => total + Number(item.quantity), 0)),
  },
  { key: "source", name: "Source", cell: (order) => providerName(order.provider) },
  { key: "total", name: "Total", number: true, cell: (order) => money(order.total, order.currency) },
  {
    key: "refunded",
    name: "Refunded",
    number: true,
    cell: (order) => (isZero(order.refunds) ? soft("–") : money(`-${order.refunds}`, order.currency)),
  },
  {
    key: "net",
    name: "Net",
    number: true,
    cell: (order) => h("strong", { class: isZero(order.net) ? "soft" : null }, money(order.net, order.currency)),
  },
];

export async function orders(main, parameters, { alive, watch }) {
  const view = state("orders", DEFAULTS, parameters),
    dates = period(view.dates, "30d");
  const filters = {
    from: dates.from,
    to: dates.to,
    ...Object.fromEntries(
      Object.keys(DEFAULTS)
        .filter((name) => name !== "dates")
        .map((name) => [name, view[name]]),
    ),
  };
  const path = (more) => query("/v1/orders", { ...filters, ...more });
  const live = h("span", { class: "live" }, "Live");
  const box = h("div", { class: "card flush" }, skeleton("the orders", 12)),
    totals = h("p", { class: "totals" }, "\u00a0");
  main.append(
    heading("Orders", {
      actions: [
        live,
        csvOfPages(`orders-${dates.from ?? "all"}-${dates.to ?? ""}.csv`, (cursor) =>
          csvPage(path({ format: "csv", limit: 200, cursor })),
        ),
      ],
    }),
    h(
      "div",
      { class: "tabsbar", role: "group", "aria-label": "Status" },
      TABS.map(([status, text]) =>
        h("button", { type: "button", "aria-pressed": String(view.status === status), onclick: () => view.go({ status }) }, text),
      ),
    ),
    filterBar(view, dates),
    totals,
    box,
  );

  const shown = [];
  let cursor = null;
  const list = table({ caption: `Orders, ${dates.text}`, columns: COLUMNS, rows: [], layout: "orders", href: orderAddress, sticky: true });
  const summary = h("span", {}),
    more = button("Show more", { kind: "small", onclick: () => next() }),
    errorBox = h("div", {});
  const footer = h("footer", { class: "pager" }, summary, more);

  // A page may be short or empty although more follow, so pages are read until PAGE more orders are shown.
  async function next() {
    more.disabled = true;
    try {
      const before = shown.length;
      do {
        const page = await get(path({ limit: PAGE, cursor }));
        if (!alive()) return;
        cursor = page.next_cursor;
        shown.push(...page.orders);
        list.add(page.orders);
        if (cursor && shown.length - before < PAGE) summary.textContent = `${plural(shown.length, "order")} so far, looking further…`;
      } while (cursor && shown.length - before < PAGE);
      errorBox.replaceChildren();
      draw();
    } catch (error) {
      if (!alive()) return;
      if (list.isConnected) {
        errorBox.replaceChildren(failed(error));
        draw(); // some pages may have been read
      } else box.replaceChildren(failed(error, () => next()));
    }
    more.disabled = false;
  }

  function draw() {
    more.hidden = cursor === null;
    summary.textContent = cursor === null ? plural(shown.length, "order") : `${plural(shown.length, "order")} shown so far`;
    totals.replaceChildren(...(cursor === null ? sums(shown) : [soft("Sums appear once all matching orders are shown.")]));
    if (!shown.length) box.replaceChildren(emptyState(view));
    else if (!list.isConnected) box.replaceChildren(list, errorBox, footer);
    showNames(list);
  }

  await next();
  if (!alive()) return;
  // If the newest order is another one or has changed, a button offers to read the list again: the list does not move
  // while somebody reads it.
  const first = () => JSON.stringify(shown[0] ?? null);
  watch(async () => {
    const page = await look(path({ limit: 1 }));
    if (alive() && page.orders.length && JSON.stringify(page.orders[0]) !== first()) {
      live.replaceChildren(
        button("Show what is new", {
          kind: "small primary",
          icon: "replay",
          onclick: () => {
            dispatchEvent(new HashChangeEvent("hashchange")); // draws the view again
          },
        }),
      );
      live.className = "live new";
    }
  });
}

function filterBar(view, dates) {
  const filtered = Object.keys(DEFAULTS).some((name) => name !== "status" && view[name] !== DEFAULTS[name]);
  return h(
    "div",
    { class: "filterbar", role: "group", "aria-label": "Filters" },
    searchBox(view.name, "Order number", "Beginning of the order number", (name) => view.go({ name, dates: name ? "all" : "30d" })),
    chip(
      "Placed",
      dates.text,
      choosePeriod(view.dates, (dates) => view.go({ dates }), { all: true }),
      view.dates === "30d" ? null : () => view.go({ dates: "30d" }),
    ),
    chip("Source", view.provider ? providerName(view.provider) : (SOURCES[view.source] ?? ""), sourceMenu(view), () =>
      view.go({ source: "", provider: "" }),
    ),
    chip(
      "Total",
      rangeText(view.min_total, view.max_total),
      rangeField("Order total", view.min_total, view.max_total, (min_total, max_total) => view.go({ min_total, max_total })),
      () => view.go({ min_total: "", max_total: "" }),
    ),
    chip(
      "Promo code",
      view.promo_code,
      textField("Promo code", view.promo_code, (promo_code) => view.go({ promo_code }), { placeholder: "SPRING20" }),
      () => view.go({ promo_code: "" }),
    ),
    chip(
      "Currency",
      view.currency,
      textField("Currency", view.currency, (text) => view.go({ currency: text.toUpperCase() }), {
        placeholder: "USD",
        hint: "The three-letter code.",
      }),
      () => view.go({ currency: "" }),
    ),
    chip(
      "Contains",
      view.text,
      textField("Text", view.text, (text) => view.go({ text }), {
        placeholder: "HP-JKT-101",
        hint: "In the order number, promo code, item or category.",
      }),
      () => view.go({ text: "" }),
    ),
    filtered && h("a", { class: "btn ghost small", href: "#/orders" }, "Clear all"),
  );
}

const sourceMenu = (view) => (close) =>
  h(
    "div",
    {},
    choiceField(SOURCES, view.source, (source) => view.go({ source, provider: "" }))(close),
    textField("Shop or channel", view.provider, (provider) => view.go({ provider, source: "" }), {
      placeholder: "shopify",
      hint: "The value that your shop sends in the field provider.",
    })(close),
  );

function sums(shown) {
  const currencies = [...new Set(shown.map((order) => order.currency))];
  return currencies.flatMap((currency) => {
    const matching = shown.filter((order) => order.currency === currency),
      sumOf = (field) => sum(matching.map((order) => order[field]));
    const total = (amount, text) => h("span", {}, h("strong", {}, money(amount, currency)), ` ${text}`);
    return [
      total(sumOf("total"), "total"),
      !isZero(sumOf("refunds")) && total(`-${sumOf("refunds")}`, "refunded"),
      total(sumOf("net"), currencies.length > 1 ? `net in ${currency}` : "net"),
    ].filter(Boolean);
  });
}

function emptyState(view) {
  const filtered = Object.keys(DEFAULTS).some((name) => view[name] !== DEFAULTS[name]);
  return filtered
    ? empty(
        "No orders match these filters",
        "Try a longer date range or remove a filter.",
        h("a", { class: "btn", href: "#/orders" }, "Clear filters"),
      )
    : empty(
        "No orders in the last 30 days",
        "Orders appear here a few seconds after your shop sends them. Nothing is connected yet? Start with Connections.",
        h("a", { class: "btn", href: "#/connections" }, "Connect a shop"),
        " ",
        h("a", { class: "btn", href: "#/orders?dates=all" }, "Show all orders"),
      );
}
