// One customer: lifetime value, its growth, identity, orders and timeline.

import { h } from "/page/dom.js";
import { ago, count, date, decimal, isZero, money, sum, units } from "/page/format.js";
import { curl, encode, get, orNothing, query, session, v3 } from "/page/api.js";
import {
  badge,
  button,
  card,
  copyable,
  disclose,
  empty,
  facts,
  failed,
  heading,
  menu,
  options,
  skeleton,
  snippet,
  soft,
  under,
  when,
} from "/page/ui.js";
import { csvButton, save, table } from "/page/table.js";
import { ACTIVITY, growthCards, timeline } from "/page/growth.js";
import { SOURCES, providerName, statusOf } from "/page/words.js";
import { customerName, nameOf, orderAddress, orderLink, placeOf } from "/page/links.js";

export async function customer(main, parameters, { alive }) {
  const id = parameters.get("id") ?? "",
    path = v3(`/people/${encode(id)}`);
  main.append(heading("Customer", { back: ["#/customers", "Customers"] }), skeleton("the customer", 8, "tall"));
  const found = id && (await orNothing(get(path)));
  if (!alive()) return;
  if (!found) {
    main.replaceChildren(
      heading("Customer not found", { back: ["#/customers", "Customers"] }),
      h(
        "div",
        { class: "card" },
        empty(
          "No customer with this ID",
          "They may have been erased, or their orders purged. You can also search by the whole email address: it is hashed before it is compared.",
        ),
      ),
    );
    return;
  }
  const [page, activity] = await Promise.all([
    get(`${path}/orders?limit=50`),
    get(query(`${path}/activity`, { limit: ACTIVITY, effects: true })),
  ]);
  if (!alive()) return;
  const rows = page.orders.map(rowOf),
    address =
      page.orders.map((order) => order.shipping_address ?? order.billing_address).find((one) => nameOf(one)) ??
      page.orders.find((order) => order.shipping_address)?.shipping_address;
  const person = { ...found, name: nameOf(address) };
  const growth = h("div", {}),
    drawGrowth = (entries, complete) => growth.replaceChildren(...growthCards(entries, person, complete)),
    list = timeline(path, activity, alive, drawGrowth);
  main.replaceChildren(
    heading(customerName(person), {
      back: ["#/customers", "Customers"],
      sub: [placeOf(address), found.first_order_at && `Customer since ${date(found.first_order_at)}`].filter(Boolean).join(" · "),
      actions: actions(person, path),
    }),
    statsOf(person, rows, page.next_cursor === null),
    h(
      "div",
      { class: "columns" },
      h("div", {}, growth, ordersOf(rows, page.next_cursor, path, alive)),
      h(
        "div",
        {},
        identity(person),
        bySource(person),
        list,
        h("div", { class: "card" }, disclose("Same data with curl", snippet(curl("GET", path), "the command"))),
      ),
    ),
  );
}

// The fields of an order of either API, in one form. `known`: whether the order's total is known.
function rowOf(order) {
  return order.provider
    ? {
        ...order,
        at: order.first_occurred_at,
        total: order.grand_total ?? "0",
        known: order.grand_total !== null,
        refunds: order.refund_amount,
        net: order.lifetime_value,
      }
    : { ...order, at: order.order_date, status: "submitted", refunds: "0", net: order.total, known: true };
}

function actions(person, path) {
  const trigger = button("", { kind: "icon-only", icon: "more", label: "More actions" });
  return menu(
    trigger,
    (close) =>
      options(close, [
        ["Save all data (JSON)", () => saveAll(person, path)],
        [
          "Erase customer…",
          async () => (await import("/page/danger.js")).eraseDialog(person.id, customerName(person), person),
          "",
          false,
          "bad",
        ],
      ]),
    { label: "More actions" },
  );
}

// Saves a customer's person, orders and activity, for example on their request.
async function saveAll(person, path) {
  const all = async (noun) => {
    const found = [];
    for (let cursor = ""; cursor !== null;) {
      const page = await get(query(`${path}/${noun}`, { limit: 200, cursor }));
      found.push(...page[noun]);
      cursor = page.next_cursor;
    }
    return found;
  };
  const [orders, activity] = [await all("orders"), await all("activity")];
  save(
    `customer-${person.id}.json`,
    JSON.stringify({ person: await get(path), orders, activity }, null, 2),
    orders.length,
    "application/json",
  );
}

function statsOf(person, rows, complete) {
  const stat = (name, value, note) => h("div", {}, h("dt", {}, name), h("dd", {}, value, note && under(note)));
  const values = Object.entries(person.lifetime_value),
    // Their currency, if all orders are loaded and have the same one: only then can their amounts be added up.
    onlyCurrency = new Set(rows.map((row) => row.currency)).size === 1 && complete ? rows[0].currency : null;
  const ordered = onlyCurrency && sum(rows.map((row) => row.total)),
    refunded = onlyCurrency && sum(rows.map((row) => row.refunds));
  // Without digits after the hundredths: units are ten-thousandths.
  const average = onlyCurrency && decimal((units(ordered) / BigInt(rows.length) / 100n) * 100n);
  return h(
    "dl",
    { class: "stats big" },
    values.length
      ? values.map(([currency, amount]) =>
          stat(
            values.length > 1 ? `Lifetime value in ${currency}` : "Lifetime value",
            money(amount, currency),
            onlyCurrency === currency && ordered !== amount && `of ${money(ordered, currency)} ordered`,
          ),
        )
      : stat("Lifetime value", "None"),
    stat("Orders", count(person.orders_count)),
    onlyCurrency && stat("Average order", money(average, onlyCurrency)),
    onlyCurrency && stat("Refunded", money(isZero(refunded) ? "0" : `-${refunded}`, onlyCurrency)),
    person.last_order_at && stat("Last order", date(person.last_order_at), ago(person.last_order_at)),
  );
}

function ordersOf(rows, cursor, path, alive) {
  const columns = [
    { key: "order", name: "Order", cell: (order) => orderLink(order), csv: (order) => order.order_id },
    { key: "date", name: "Placed", cell: (order) => when(order.at, { dated: true }), csv: (order) => order.at },
    { key: "status", name: "Status", cell: (order) => badge(...statusOf(order)), csv: (order) => order.status },
    { key: "source", name: "Source", cell: (order) => providerName(order.provider), csv: (order) => order.provider ?? "orders_api" },
    { key: "currency", name: "Currency", kind: "file-only", cell: (order) => order.currency, csv: (order) => order.currency },
    {
      key: "total",
      name: "Total",
      number: true,
      cell: (order) => (order.known ? money(order.total, order.currency) : soft("Not known")),
      csv: (order) => order.total,
    },
    {
      key: "refunded",
      name: "Refunded",
      number: true,
      cell: (order) => (isZero(order.refunds) ? soft("–") : money(`-${order.refunds}`, order.currency)),
      csv: (order) => order.refunds,
    },
    {
      key: "net",
      name: "Net",
      number: true,
      cell: (order) => h("strong", {}, money(order.net, order.currency)),
      csv: (order) => order.net,
    },
  ];
  const list = table({ caption: "Orders of this customer", layout: "corders", rows, href: orderAddress, columns }),
    errorBox = h("div", {});
  const more = button("Show more", {
    kind: "small",
    hidden: cursor === null,
    onclick: async () => {
      more.disabled = true;
      try {
        const page = await get(query(`${path}/orders`, { limit: 50, cursor }));
        if (!alive()) return;
        errorBox.replaceChildren();
        cursor = page.next_cursor;
        rows.push(...page.orders.map(rowOf));
        list.add(page.orders.map(rowOf));
        more.hidden = cursor === null;
      } catch (error) {
        errorBox.replaceChildren(failed(error));
      }
      more.disabled = false;
    },
  });
  return h(
    "section",
    { class: "card flush", "aria-labelledby": "c-orders" },
    h(
      "header",
      {},
      h("h2", { id: "c-orders" }, "Orders"),
      h(
        "div",
        { class: "aside" },
        csvButton("customer-orders.csv", columns, () => rows, ""),
      ),
    ),
    rows.length
      ? [list, errorBox, cursor !== null && h("footer", { class: "pager" }, h("span", {}, "The newest are shown"), more)]
      : empty("No orders", "Their orders were deleted or moved to another customer."),
  );
}

function identity(person) {
  return card(
    "Identity",
    { id: "identity" },
    facts(
      [
        ["Person ID", person.person_id && copyable(person.person_id, "the person ID")],
        ["Customer ID", person.customer_id && copyable(person.customer_id, "the customer ID")],
        [
          "Email (SHA-256)",
          person.email_sha256 &&
            copyable(person.email_sha256, "the email’s hash", `${person.email_sha256.slice(0, 10)}…${person.email_sha256.slice(-6)}`),
        ],
        ["Tillbook ID", copyable(person.id, "the Tillbook ID", `${person.id.slice(0, 12)}…`)],
      ],
      "stacked",
    ),
    h("p", { class: "hint" }, "Email addresses are hashed on arrival and never stored."),
  );
}

function bySource(person) {
  const counted = session.account.sources;
  return card(
    "By source",
    { id: "by-source" },
    facts(
      Object.entries(person.lifetime_value_by_source).map(([source, values]) => [
        counted.includes(source) ? SOURCES[source] : `${SOURCES[source]} (turned off)`,
        Object.entries(values).map(([currency, amount], i) => [i > 0 && ", ", h("strong", {}, money(amount, currency))]),
      ]),
    ),
  );
}
