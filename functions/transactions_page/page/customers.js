// Customers by lifetime value, number of orders or last order.

import { h, icon } from "/page/dom.js";
import { ago, count, currencyName, date, isZero, moment, money, plural } from "/page/format.js";
import { csvPage, get, query, session, v3 } from "/page/api.js";
import { button, empty, failed, heading, menu, options, skeleton, soft, toast, under } from "/page/ui.js";
import { csvOfPages, table } from "/page/table.js";
import { bar, setBar } from "/page/charts.js";
import { chip, choosePeriod, period, rangeField, rangeText, searchBox, state } from "/page/filters.js";
import { customerAddress, customerLink } from "/page/links.js";
import { showNames } from "/page/names.js";

const PAGE = 50;
const DEFAULTS = {
  sort: "lifetime_value",
  direction: "desc",
  segment: "",
  currency: "",
  min_value: "",
  max_value: "",
  min_orders: "",
  max_orders: "",
  last: "",
};
const NOT_FILTERS = ["sort", "direction", "currency"]; // these do not narrow the list

export async function customers(main, parameters, { alive }) {
  const view = state("customers", DEFAULTS, parameters),
    dates = view.last ? period(view.last, "30d") : null;
  const filters = {
    sort: view.sort,
    direction: view.direction,
    segment: view.segment,
    currency: view.currency,
    min_lifetime_value: view.min_value,
    max_lifetime_value: view.max_value,
    min_orders: view.min_orders,
    max_orders: view.max_orders,
    last_order_from: dates?.from,
    last_order_to: dates?.to,
  };
  const path = (more) => v3(query("/people", { ...filters, ...more }));
  const tabs = h("div", { class: "tabsbar", role: "group", "aria-label": "Segments" }, tab(view, "", "All")),
    stats = h("p", { class: "totals" }, "\u00a0");
  const box = h("div", { class: "card flush" }, skeleton("the customers", 12));
  main.append(
    heading("Customers", {
      actions: [currencyMenu(view), csvOfPages("customers.csv", (cursor) => csvPage(path({ format: "csv", limit: 200, cursor })))],
    }),
    tabs,
    filterBar(view, dates),
    stats,
    box,
  );

  let shown = 0,
    cursor = null,
    list = null;
  const bars = [],
    summary = h("span", {}),
    more = button("Show more", { kind: "small", onclick: () => next() }),
    errorBox = h("div", {});
  async function next() {
    more.disabled = true;
    try {
      const page = await get(path({ limit: PAGE, cursor }));
      if (!alive()) return;
      cursor = page.next_cursor;
      if (list) list.add(page.people);
      else list = listOf(page.people, view, page.currency, bars);
      scale(bars);
      shown += page.people.length;
      more.hidden = cursor === null;
      summary.textContent = `${count(shown)} of ${plural(page.total, "customer")}`;
      stats.replaceChildren(
        h("span", {}, h("strong", {}, count(page.total)), ` ${page.total === 1 ? "customer" : "customers"}`),
        page.as_of ? h("span", {}, `as of ${moment(page.as_of)}; this list is updated once an hour`) : "",
      );
      errorBox.replaceChildren();
      if (!shown) box.replaceChildren(emptyState(view));
      else if (!list.isConnected) box.replaceChildren(list, errorBox, h("footer", { class: "pager" }, summary, more));
      showNames(list);
    } catch (error) {
      if (!alive()) return;
      if (shown) errorBox.replaceChildren(failed(error));
      else box.replaceChildren(failed(error, next));
    }
    more.disabled = false;
  }
  await next();
  if (alive()) await segments(tabs, view, alive);
}

const tab = (view, segment, text, number) =>
  h(
    "button",
    { type: "button", "aria-pressed": String(view.segment === segment), onclick: () => view.go({ segment }) },
    text,
    number !== undefined && h("span", { class: "n" }, count(number)),
  );

async function segments(tabs, view, alive) {
  const found = await get(v3("/segments"));
  if (!alive()) return;
  tabs.replaceChildren(
    tab(view, "", "All", found.people),
    ...found.segments.map((segment) => tab(view, segment.name, segment.name, segment.people)),
  );
}

// Gives all bars one scale, where 1 is the largest amount of the shown rows.
function scale(bars) {
  const top = Math.max(0, ...bars.map(([, amount]) => amount));
  for (const [element, amount] of bars) setBar(element, top ? amount / top : 0);
}

// The table of `people`. It adds [bar, amount] of each row to `bars`.
function listOf(people, view, currency, bars) {
  const value = (person) => person.lifetime_value[currency] ?? "0";
  const barOf = (person) => {
    const element = bar(0);
    bars.push([element, Number(value(person))]);
    return element;
  };
  const others = (person) => Object.entries(person.lifetime_value).filter(([code, amount]) => code !== currency && !isZero(amount));
  const columns = [
    {
      key: "name",
      name: "Customer",
      cell: (person) => [
        customerLink(person, "strong"),
        h(
          "span",
          { class: "under place" },
          person.email_sha256 ? "Known by email" : person.customer_id ? "Known by customer ID" : "Known by person ID",
        ),
      ],
    },
    { key: "orders", name: "Orders", number: true, sort: "orders", cell: (person) => count(person.orders_count) },
    { key: "first", name: "First order", cell: (person) => (person.first_order_on ? date(person.first_order_on) : soft("–")) },
    {
      key: "last",
      name: "Last order",
      sort: "last_order",
      cell: (person) => (person.last_order_on ? [date(person.last_order_on), under(ago(`${person.last_order_on}T12:00:00Z`))] : soft("–")),
    },
    {
      key: "ltv",
      name: "Lifetime value",
      number: true,
      sort: "lifetime_value",
      cell: (person) => [
        h("strong", {}, money(value(person), currency)),
        barOf(person),
        others(person).map(([code, amount]) => under(money(amount, code))),
      ],
    },
  ];
  return table({
    caption: "Customers",
    layout: "customers",
    rows: people,
    columns,
    sticky: true,
    sort: { key: view.sort, down: view.direction === "desc" },
    onsort: (sort, down) => view.go({ sort, direction: down ? "desc" : "asc" }),
    href: (person) => customerAddress(person.id),
  });
}

function filterBar(view, dates) {
  // Whether a chip is on. Segments have tabs instead of a chip.
  const filtered = Object.keys(DEFAULTS).some((name) => ![...NOT_FILTERS, "segment"].includes(name) && view[name]);
  return h(
    "div",
    { class: "filterbar", role: "group", "aria-label": "Filters" },
    searchBox("", "Whole email or ID", "Find a customer by their whole email or ID", async (text) => {
      if (!text) return;
      try {
        const { search } = await import("/page/search.js");
        const found = await search(text);
        if (found.address) location.hash = found.address;
        else toast(found.message);
      } catch (error) {
        toast(error.message);
      }
    }),
    chip(
      "Lifetime value",
      rangeText(view.min_value, view.max_value),
      rangeField("Lifetime value", view.min_value, view.max_value, (min_value, max_value) => view.go({ min_value, max_value })),
      () => view.go({ min_value: "", max_value: "" }),
    ),
    chip(
      "Orders",
      rangeText(view.min_orders, view.max_orders),
      rangeField(
        "Number of orders",
        view.min_orders,
        view.max_orders,
        (min_orders, max_orders) => view.go({ min_orders, max_orders }),
        { whole: true },
      ),
      () => view.go({ min_orders: "", max_orders: "" }),
    ),
    chip(
      "Last order",
      dates?.text ?? "",
      choosePeriod(view.last, (last) => view.go({ last })),
      () => view.go({ last: "" }),
    ),
    filtered && h("a", { class: "btn ghost small", href: "#/customers" }, "Clear all"),
  );
}

function currencyMenu(view) {
  const own = session.account.currency,
    codes = [...new Set([own, view.currency, "USD", "EUR", "GBP", "CAD", "AUD"].filter(Boolean))];
  const trigger = h("button", { type: "button", class: "btn" }, h("span", {}, view.currency || own), icon("down"));
  return menu(
    trigger,
    (close) =>
      options(
        close,
        codes.map((code) => [
          `${code} · ${currencyName(code)}`,
          () => view.go({ currency: code === own ? "" : code }),
          "",
          code === (view.currency || own),
        ]),
      ),
    { label: "Currency of lifetime value" },
  );
}

function emptyState(view) {
  const filtered = Object.keys(DEFAULTS).some((name) => !NOT_FILTERS.includes(name) && view[name]);
  return filtered
    ? empty(
        "No customers match these filters",
        "Try a wider range or remove a filter.",
        h("a", { class: "btn", href: "#/customers" }, "Clear filters"),
      )
    : empty(
        "No customers yet",
        "Customers appear a few seconds after their first order. An order needs an email or a customer ID.",
        h("a", { class: "btn", href: "#/connections" }, "Connect a shop"),
      );
}
