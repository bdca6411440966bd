// One order: the amount that counts and why, its items, and its events.

import { h, icon } from "/page/dom.js";
import { clock, count, date, dayOf, decimal, isZero, minus, money, plural, pretty, sum, units, zoneName } from "/page/format.js";
import { curl, encode, get, orNothing, query, session, textOf, v3 } from "/page/api.js";
import {
  badge,
  button,
  card,
  code,
  copy,
  disclose,
  empty,
  failed,
  heading,
  notice,
  skeleton,
  snippet,
  soft,
  under,
  when,
} from "/page/ui.js";
import { csvButton, table } from "/page/table.js";
import { EVENTS, SOURCES, explainNote, providerName, statusOf } from "/page/words.js";
import { nameOf, orderName } from "/page/links.js";
import { addressesOf, detailsOf, drawCustomer, drawUnapplied } from "/page/orderside.js";

const pathOf = (provider, id) => (provider ? v3(`/orders/${encode(provider)}/${encode(id)}`) : `/v1/order/${encode(id)}`);

export async function order(main, parameters, { alive }) {
  const id = parameters.get("id") ?? "",
    provider = parameters.get("provider") ?? "",
    path = pathOf(provider, id);
  main.append(heading(`Order ${id}`, { back: ["#/orders", "Orders"] }), skeleton("the order", 8, "tall"));
  const [found, history] = await Promise.all([orNothing(get(path)), orNothing(get(`${path}/history?limit=100`))]);
  if (!alive()) return;
  if (!history) {
    main.replaceChildren(
      heading("Order not found", { back: ["#/orders", "Orders"] }),
      h(
        "div",
        { class: "card" },
        empty(
          `No order ${id}`,
          "Check the number, including any prefix such as # or W-. If the shop sent it moments ago, it may still be in the queue.",
          h("a", { class: "btn", href: query("#/requests", { order: id }) }, "Look in the request log"),
        ),
      ),
    );
    return;
  }
  const view = viewOf(found, history.history, provider, id);
  const side = h("div", {}),
    customer = h("div", {}),
    unapplied = h("div", {});
  main.replaceChildren(
    headOf(view),
    verdict(view),
    h("div", { class: "columns" }, h("div", {}, found && itemsOf(view), stepsOf(view, history, path, alive), unapplied), side),
  );
  side.append(
    customer,
    ...[
      found && addressesOf(view),
      detailsOf(view),
      h(
        "div",
        { class: "card" },
        found && disclose("Raw JSON", snippet(pretty(textOf(found)), "the JSON")),
        disclose("Same data with curl", snippet(curl("GET", path), "the command")),
      ),
    ].filter(Boolean),
  );
  await Promise.all([drawCustomer(customer, view, alive), drawUnapplied(unapplied, id, provider, alive)]);
}

// The fields of an order of either API, in one form. A deleted order (`found` is null) has only its events.
function viewOf(found, steps, provider, id) {
  const last = steps.at(-1),
    value = last.lifetime_value,
    v1 = !provider;
  const properties = v1 ? (found?.metadata ?? {}) : (found?.properties ?? {});
  const items = (v1 ? found?.order_items : found?.items) ?? [];
  const address = found?.shipping_address ?? found?.billing_address;
  return {
    found,
    steps,
    provider,
    id,
    v1,
    properties,
    person: last.person,
    address,
    name: nameOf(address),
    order: { order_id: id, provider, order_public_id: found?.order_public_id },
    status: v1 ? (found ? last.action : "deleted") : (found?.status ?? last.action),
    currency: found?.currency ?? value.currency,
    total: v1 ? (found?.total ?? "0") : (found?.grand_total ?? null),
    refunds: found?.refund_amount ?? "0",
    net: found ? value.amount : "0",
    at: v1 ? (found?.order_date ?? last.occurred_at) : (found?.first_occurred_at ?? steps[0].occurred_at),
    flags: found?.flags ?? [],
    notes: [...new Set([...(found?.notes ?? []), ...steps.flatMap((step) => step.notes)])].filter((note) => !found?.flags?.includes(note)),
    items: items.map((item) =>
      v1
        ? {
            name: item.description ?? item.identifier,
            sku: item.identifier,
            category: item.category?.[0],
            price: isZero(item.price) ? null : item.price,
            quantity: item.quantity,
            total: item.total,
          }
        : {
            name: item.name,
            sku: item.sku ?? item.product_id,
            category: item.categories?.[0],
            price: item.price,
            quantity: item.quantity,
            total: item.total ?? times(item.price, item.quantity),
          },
    ),
  };
}

// price × quantity. Both factors are in ten-thousandths (units), so the product is divided by 10,000.
const times = (price, quantity) => decimal((units(price) * units(String(quantity))) / 10_000n);

function headOf(view) {
  const [text, kind] = statusOf({ status: view.status, refunds: view.refunds, net: view.net, total: view.total });
  const link = view.found?.order_url,
    isWebLink = /^https?:\/\//.test(link ?? "");
  return heading(`Order ${orderName(view.order)}`, {
    back: ["#/orders", "Orders"],
    mark: badge(text, kind),
    sub: [when(view.at, { dated: true }), ` · ${providerName(view.provider)}`],
    actions: [
      isWebLink &&
        h(
          "a",
          { class: "btn", href: link, target: "_blank", rel: "noopener noreferrer" },
          `Open in ${providerName(view.provider)}`,
          icon("out"),
        ),
      button("Copy link", { icon: "copy", onclick: () => copy(location.href, "the link") }),
    ],
  });
}

// The amount that counts, the reason in one sentence, and what to do about it.
function verdict({ found, status, flags, total, refunds, net, currency, person, name, v1, notes }) {
  const whose = name ? `${name}’s` : "the customer’s",
    worth = money(net, currency),
    format = (amount) => money(amount, currency);
  const source = v1 ? "orders_api" : "shopper_activity";
  const extra = notes.map(explainNote),
    others = extra.filter((text) => !/LTV is unchanged/.test(text)); // two verdicts below say the same as this note
  if (!found)
    return notice(
      "quiet",
      "trash",
      "Deleted",
      "The shop deleted this order, so it adds nothing to lifetime value. Its number is free for a new order.",
    );
  if (!session.account.sources.includes(source)) {
    return notice("warn", "info", "Stored, but not counted", [
      `The source ${SOURCES[source]} is turned off, so its orders add nothing to lifetime value.`,
      h("a", { href: "#/settings" }, "Turn it on in Settings"),
    ]);
  }
  if (flags.includes("voided"))
    return notice("warn", "info", "Not counted: voided by the shop", [
      "The shop says that this order does not count: it was trashed or deleted, or its payment is pending or failed.",
      "A later change in the shop can make it count again.",
    ]);
  if (!person)
    return notice(
      "warn",
      "info",
      "Counts for nobody",
      "The order has no email and no customer ID, so it adds to no customer’s lifetime value. Have the shop send one of them.",
    );
  if (total === null)
    return notice("warn", "info", "The total is not known yet", [
      "No event of this order carried a grand_total, so it counts as 0.",
      "It will count as soon as the shop sends one.",
    ]);
  if (flags.includes("refunded_more_than_total"))
    return notice("warn", "info", `More was refunded than the total: ${worth}`, [
      `${format(refunds)} of ${format(total)} was refunded, so this order lowers ${whose} lifetime value.`,
      "Check the refunds in the shop.",
      ...extra,
    ]);
  if (isZero(net) && !isZero(refunds)) {
    return notice("quiet", "replay", status === "canceled" ? "Canceled and fully refunded" : "Fully refunded", [
      `All of ${format(total)} was returned, so this order adds nothing to ${whose} lifetime value.`,
      ...extra,
    ]);
  }
  if (status === "canceled" && isZero(refunds)) {
    return notice("warn", "info", `Canceled, but ${worth} still counts`, [
      `The cancellation carried no refund amount, so ${whose} lifetime value did not change.`,
      "If the money was returned, have the shop send refund_amount with the cancellation, or a refund.",
      ...others,
    ]);
  }
  if (status === "refunded" && isZero(refunds)) {
    return notice("warn", "info", `Refunded, but ${worth} still counts`, [
      `The refund carried no amount, so ${whose} lifetime value did not change.`,
      "Have the shop send refund_amount.",
      ...others,
    ]);
  }
  if (!isZero(refunds))
    return notice("warn", "info", `Partly refunded: ${worth} still counts`, [
      `${format(refunds)} of ${format(total)} was refunded. The rest counts toward ${whose} lifetime value.`,
      ...extra,
    ]);
  if (isZero(net)) return notice("quiet", "info", "Counts as 0", ["Its total is 0.", ...extra]);
  return notice(extra.length ? "warn" : "good", extra.length ? "info" : "check", `${worth} counts`, [
    `The full total counts toward ${whose} lifetime value.`,
    ...extra,
  ]);
}

function itemsOf(view) {
  const { items, currency, found } = view,
    format = (amount) => money(amount, currency);
  const columns = [
    {
      key: "name",
      name: "Product",
      cell: (item) => [h("strong", {}, item.name), item.sku !== item.name && under(item.sku)],
      csv: (item) => item.name,
    },
    { key: "category", name: "Category", kind: "soft", cell: (item) => item.category ?? "", csv: (item) => item.category },
    {
      key: "price",
      name: "Price",
      number: true,
      cell: (item) => (item.price === null ? "" : format(item.price)),
      csv: (item) => item.price,
    },
    { key: "quantity", name: "Qty", number: true, cell: (item) => `× ${count(item.quantity)}`, csv: (item) => item.quantity },
    { key: "total", name: "Total", number: true, cell: (item) => format(item.total), csv: (item) => item.total },
  ];
  const row = (name, amount, kind = "") => h("div", { class: kind }, h("dt", {}, name), h("dd", {}, amount));
  const part = (name, amount, sign = "") => (amount && !isZero(amount) ? row(name, format(sign + amount)) : null);
  const codes = view.properties.promo_code ?? view.properties.discount_code;
  return card(
    "Items",
    {
      id: "items",
      note: items.length
        ? plural(
            items.reduce((total, item) => total + Number(item.quantity), 0),
            "item",
          )
        : null,
      aside: items.length > 0 && csvButton(`order-${view.id}-items.csv`, columns, items, ""),
    },
    items.length
      ? table({ caption: "Items", layout: "items", rows: items, columns })
      : h("p", { class: "hint" }, "The shop sent no items with this order."),
    h(
      "dl",
      { class: "sums", "aria-label": "What it adds up to" },
      items.length > 0 && row("Items", format(sum(items.map((item) => item.total)))),
      part(["Discount", codes && [" ", code(String(codes))]], found.total_discounts, "-"),
      part("Shipping", found.total_shipping),
      part("Fees", found.total_fees),
      part("Tax", found.total_taxes),
      row("Total", view.total === null ? "Not known yet" : format(view.total), "sum"),
      part("Refunded", view.refunds, "-"),
      row("Net, counts toward lifetime value", format(view.net), isZero(view.net) ? "sum" : "sum last"),
    ),
  );
}

function stepsOf(view, page, path, alive) {
  const list = h("ol", { class: "steps" }),
    earlier = button("Show earlier events", { kind: "small" }),
    errorBox = h("div", {});
  const draw = (steps) => steps.map((step) => stepOf(step, view));
  list.append(...draw(page.history));
  let cursor = page.next_cursor;
  earlier.hidden = cursor === null;
  earlier.addEventListener("click", async () => {
    earlier.disabled = true;
    try {
      const older = await get(query(`${path}/history`, { limit: 100, cursor }));
      if (!alive()) return;
      errorBox.replaceChildren();
      cursor = older.next_cursor;
      list.prepend(...draw(older.history));
      earlier.hidden = cursor === null;
    } catch (error) {
      errorBox.replaceChildren(failed(error));
    }
    earlier.disabled = false;
  });
  return card("What happened", { id: "events", note: `Oldest first, ${zoneName()}` }, errorBox, earlier, list);
}

function stepOf(step, view) {
  const { amount, currency } = step.lifetime_value,
    sameCurrency = step.before?.currency === currency;
  const change = minus(amount, sameCurrency ? step.before.amount : "0"),
    newCurrency = step.before && !sameCurrency;
  const kind = isZero(change) ? "" : change.startsWith("-") ? "down" : "up";
  const late =
    step.late &&
    `Received ${dayOf(step.received_at) === dayOf(step.occurred_at) ? clock(step.received_at) : date(step.received_at)}, after a later event. It took its place in time; the amounts were recalculated.`;
  return h(
    "li",
    { class: kind },
    h(
      "div",
      { class: "step-what" },
      h("strong", {}, EVENTS[step.action] ?? step.name),
      step.late && [" ", badge("Arrived late", "warn")],
      under(
        when(step.occurred_at, { dated: view.v1 || /T00:00:00Z$/.test(step.occurred_at) }),
        " · ",
        h("a", { href: query("#/requests", { request: step.request_id }) }, "Request"),
      ),
      late && under(late),
      newCurrency && under(`The currency changed from ${step.before.currency} to ${currency}.`),
      step.notes.map((note) => under(explainNote(note))),
    ),
    h(
      "div",
      { class: "step-sum" },
      isZero(change) ? soft("No change") : h("strong", {}, money(change, currency, { sign: true })),
      under(`Net ${money(amount, currency)}`),
    ),
  );
}
