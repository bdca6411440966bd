// Beside an order: its customer, addresses and details; below it, the requests about it that changed nothing.

import { h } from "/page/dom.js";
import { date, money, plural } from "/page/format.js";
import { encode, get, orNothing, query, v3 } from "/page/api.js";
import { badge, card, code, copyable, facts, skeleton, under, when } from "/page/ui.js";
import { csvButton, table } from "/page/table.js";
import { RESULTS, SOURCES, providerName, shortReason } from "/page/words.js";
import { customerLink, nameOf, placeOf } from "/page/links.js";

export async function drawCustomer(box, view, alive) {
  if (!view.person) return;
  box.append(card("Customer", { id: "customer" }, skeleton("the customer", 3)));
  const person = await orNothing(get(v3(`/people/${encode(view.person)}`)));
  if (!alive()) return;
  const values = Object.entries(person?.lifetime_value ?? {});
  box.replaceChildren(
    card(
      "Customer",
      { id: "customer" },
      person
        ? [
            h(
              "p",
              { class: "person" },
              customerLink({ ...person, name: view.name }, "strong"),
              under(plural(person.orders_count, "order"), person.first_order_at && ` since ${date(person.first_order_at)}`),
            ),
            facts([
              ...values.map(([currency, amount]) => [
                values.length > 1 ? `Lifetime value in ${currency}` : "Lifetime value",
                h("strong", {}, money(amount, currency)),
              ]),
              ["Place", placeOf(view.address)],
            ]),
          ]
        : h("p", { class: "hint" }, "This customer was erased."),
    ),
  );
}

export function addressesOf({ found }) {
  const kinds = [
    ["Shipping", found.shipping_address],
    ["Billing", found.billing_address],
  ].filter(([, address]) => address && typeof address === "object");
  if (!kinds.length) return null;
  const lines = (address) =>
    [
      nameOf(address),
      address.company,
      address.address_1,
      address.address_2,
      [[address.city, address.state ?? address.state_name].filter(Boolean).join(", "), address.postal_code].filter(Boolean).join(" "),
      address.country,
      address.phone,
    ].filter(Boolean);
  return card(
    "Addresses",
    { id: "addresses" },
    h(
      "dl",
      { class: "addresses" },
      kinds.map(([label, address]) =>
        h(
          "div",
          {},
          h("dt", {}, label),
          h(
            "dd",
            {},
            h(
              "address",
              {},
              lines(address).map((line, i) => [i > 0 && h("br"), String(line)]),
            ),
          ),
        ),
      ),
    ),
  );
}

export function detailsOf(view) {
  const shown = (value) =>
    value !== null && typeof value === "object"
      ? code(JSON.stringify(value))
      : typeof value === "boolean"
        ? value
          ? "Yes"
          : "No"
        : String(value);
  return card(
    "Details",
    { id: "details" },
    facts([
      ["Source", `${providerName(view.provider)}${view.v1 ? "" : `, through ${SOURCES.shopper_activity}`}`],
      ["Currency", view.currency],
      ...Object.entries(view.properties).map(([name, value]) => [name, shown(value)]),
      ["Order ID", copyable(view.id, "the order ID")],
    ]),
  );
}

export async function drawUnapplied(box, id, provider, alive) {
  const page = await get(query("/v1/transactions", { order_id: id, provider, limit: 100 }));
  if (!alive()) return;
  const rows = page.transactions.filter((t) => t.status !== "applied");
  if (!rows.length) return;
  const columns = [
    {
      key: "time",
      name: "Received",
      cell: (t) => h("a", { href: query("#/requests", { request: t.request_id }) }, when(t.received_at)),
      csv: (t) => t.received_at,
    },
    { key: "status", name: "Result", cell: (t) => badge(...RESULTS[t.status]), csv: (t) => t.status },
    { key: "reason", name: "Reason", cell: (t) => shortReason(t), csv: (t) => t.reason },
  ];
  box.append(
    card(
      "Requests about it that changed nothing",
      { id: "refused", aside: csvButton(`order-${id}-requests.csv`, columns, rows, "") },
      table({ caption: "Requests that changed nothing", layout: "refused", columns, rows }),
    ),
  );
}
