// The lower half of Overview: revenue by source, new or returning customers, promo code and category, and the state of
// the data.

import { h, hidden, icon } from "/page/dom.js";
import { count, dayOf, money, moment, percent, plural, sum, today } from "/page/format.js";
import { get, look, query } from "/page/api.js";
import { card, change, code, failed, skeleton } from "/page/ui.js";
import { csvButton, table } from "/page/table.js";
import { bar, split } from "/page/charts.js";
import { providerName } from "/page/words.js";

// [group_by, title, heading of the first column, text for a group, filters that list its orders or null, note]
const GROUPS = [
  ["provider", "Revenue by source", "Source", providerName, (group) => ({ source: group ? "" : "orders_api", provider: group }), null],
  [
    "new_buyer",
    "New and returning customers",
    "Customers",
    (group) => ({ true: "First order", false: "Ordered before" })[group] ?? "Not sent by the shop",
    null,
    null,
  ],
  [
    "promo_code",
    "Revenue by promo code",
    "Promo code",
    (group) => (group ? code(group) : "No code"),
    (group) => (group ? { promo_code: group } : null),
    null,
  ],
  ["category", "Top categories", "Category", (group) => group ?? "No category", null, "Items, before discounts on the order and tax"],
];
const SHOWN = 6;

export async function breakdowns(box, report, currency, alive) {
  const cards = GROUPS.map(([, title], number) => card(title, { id: `group-${number}` }, skeleton(title, 5)));
  box.append(
    h(
      "section",
      { "aria-labelledby": "where" },
      h(
        "div",
        { class: "section-title" },
        h("h2", { id: "where" }, "Where it came from"),
        h("p", { class: "hint" }, "Orders of these dates, minus their refunds up to now."),
      ),
      h("div", { class: "breakdowns" }, cards),
    ),
  );
  await Promise.all(
    GROUPS.map(async (group, number) => {
      try {
        const found = await get(report({ interval: "month", group_by: group[0], limit: SHOWN, currency }));
        if (alive()) cards[number].replaceWith(breakdown(found, group, currency, number));
      } catch (error) {
        if (alive()) cards[number].replaceChildren(h("header", {}, h("h2", {}, group[1])), failed(error));
      }
    }),
  );
}

// {name: row} of each group, with its sums over all months of a report. `items`: the report is of items, not of orders.
function groupsOf(report, items) {
  const found = new Map();
  for (const row of report?.rows ?? []) {
    const name = row.rest ? "rest" : JSON.stringify(row.group),
      one = found.get(name) ?? { group: row.group, rest: row.rest, orders: 0, amounts: [] };
    one.orders += row.orders;
    one.amounts.push(items ? row.amount : row.net);
    found.set(name, one);
  }
  return new Map([...found].map(([name, one]) => [name, { ...one, name, amount: sum(one.amounts) }]));
}

function breakdown(found, [kind, title, column, textOf, filtersOf, note], currency, number) {
  const rows = [...groupsOf(found, kind === "category").values()].sort((a, b) => a.rest - b.rest || Number(b.amount) - Number(a.amount));
  const before = found.compared_with && groupsOf(found.compared_with, kind === "category");
  const total = Number(sum(rows.map((row) => row.amount))),
    top = Math.max(...rows.map((row) => Number(row.amount)), 0);
  const byBuyer = kind === "new_buyer",
    swatchOf = (row) => ({ true: "s1", false: "s2" })[row.group] ?? "s3";
  const label = (row) => (row.rest ? "All others" : textOf(row.group));
  const address = (row) => {
    const filters = !row.rest && filtersOf?.(row.group);
    return filters && query("#/orders", { dates: `${found.from}..${found.to}`, ...filters });
  };
  const columns = [
    {
      key: "name",
      name: column,
      cell: (row) => [
        byBuyer && h("span", { class: `swatch square ${swatchOf(row)}` }),
        address(row) ? h("a", { href: address(row) }, label(row)) : h("span", {}, label(row)),
        !byBuyer && bar(top ? Number(row.amount) / top : 0),
      ],
      csv: (row) => (row.rest ? "All others" : (row.group ?? "")),
    },
    { key: "orders", name: "Orders", number: true, cell: (row) => count(row.orders), csv: (row) => row.orders },
    {
      key: "amount",
      name: "Revenue",
      number: true,
      cell: (row) => h("strong", {}, money(row.amount, currency, { whole: true })),
      csv: (row) => row.amount,
    },
    { key: "share", name: "Share", number: true, cell: (row) => (total ? percent(Number(row.amount) / total) : "–") },
    ...(before
      ? [
          {
            key: "delta",
            name: "Change",
            number: true,
            cell: (row) => change(row.amount, before.get(row.name)?.amount ?? "0"),
            csv: (row) => before.get(row.name)?.amount ?? "0",
            file: "Revenue before",
          },
        ]
      : []),
  ];
  const parts = rows.filter((row) => Number(row.amount) > 0 && total > 0);
  return card(
    title,
    { id: `group-${number}`, note, aside: rows.length > 0 && csvButton(`${kind}-${found.from}-${found.to}.csv`, columns, rows, "") },
    rows.length
      ? [
          byBuyer && h("div", { class: "newold" }, split(parts.map((row) => [Number(row.amount) / total, swatchOf(row)]))),
          table({ caption: title, layout: "breakdown", columns, rows }),
        ]
      : h("div", { class: "empty small" }, h("p", {}, "No orders in these dates.")),
  );
}

// The state of the data -----------------------------------

const NOTICE_ICONS = { warn: "info", quiet: "check" };

// {notice, cells}: a notice, and what `strip` shows: the dead letters, and the numbers of today's requests by status.
export async function healthOf() {
  const [waiting, counts] = await Promise.all([look("/v1/deadletters?limit=50&payload=false"), look("/v1/transactions/counts")]);
  const countOf = (status) => counts.counts.find((one) => one.status === status) ?? { count: 0, more: false };
  return { notice: noticeOf(waiting, countOf("rejected")), cells: { waiting, countOf } };
}

function noticeOf({ deadletters, next_cursor: more }, rejected) {
  const missing = new Map();
  for (const letter of deadletters) {
    if (letter.action === "placed" && letter.amount) missing.set(letter.currency, [...(missing.get(letter.currency) ?? []), letter.amount]);
  }
  const amounts = [...missing]
    .filter(([currency]) => currency)
    .map(([currency, all]) => money(sum(all), currency))
    .join(" and ");
  const box = (kind, title, text, href, action) =>
    h(
      "div",
      { class: `notice ${kind}` },
      icon(NOTICE_ICONS[kind]),
      h("p", {}, h("strong", {}, title), ` ${text}`),
      href && h("a", { class: "btn small", href }, h("span", {}, action), icon("right")),
    );
  if (deadletters.length) {
    return box(
      "warn",
      `${more ? "More than " : ""}${plural(deadletters.length, "event")} could not be applied.`,
      amounts
        ? `${amounts} of new orders is missing from these figures until you replay them.`
        : "These figures lack them until you replay them.",
      "#/deadletters",
      "Review dead letters",
    );
  }
  if (rejected.count)
    return box(
      "quiet",
      "Nothing is stuck.",
      `${plural(rejected.count, "request")} of today ${rejected.count === 1 ? "was" : "were"} rejected: the sender has to correct ${rejected.count === 1 ? "it" : "them"}.`,
      "#/requests?status=rejected",
      "See why",
    );
  return box("quiet", "Nothing is stuck.", "Everything that was accepted has been applied or is on its way.");
}

// A strip of numbers, each with a link to what it counts.
export function strip({ waiting, countOf }) {
  const applied = countOf("applied"),
    duplicate = countOf("duplicate"),
    rejected = countOf("rejected"),
    failedToday = countOf("failed"),
    letters = waiting.deadletters.length;
  const shown = (one) => `${count(one.count)}${one.more ? "+" : ""}`;
  const cell = (kind, title, value, text, href, label) =>
    h(
      "a",
      { class: `health-cell ${kind}`, href },
      h("span", { class: "health-name" }, h("span", { class: `dot ${kind}`, "aria-hidden": "true" }), title),
      h("strong", {}, value),
      h("span", { class: "soft" }, text),
      hidden(`. ${label}`),
    );
  const oldest = letters && waiting.deadletters.at(-1).failed_at;
  return h(
    "section",
    { class: "health", "aria-labelledby": "health-title" },
    h("h2", { id: "health-title", class: "hidden" }, "Requests of today, and dead letters"),
    cell(
      "good",
      "Applied today",
      shown(applied),
      applied.count ? "Counted in these figures" : "No requests yet today",
      "#/requests?status=applied",
      "Open them",
    ),
    cell(
      rejected.count ? "warn" : "good",
      "Rejected today",
      shown(rejected),
      rejected.count ? "The sender has to correct them" : "Nothing was rejected",
      "#/requests?status=rejected",
      "Open them",
    ),
    cell(
      letters ? "bad" : "good",
      "Dead letters",
      `${count(letters)}${waiting.next_cursor ? "+" : ""}`,
      letters ? `Oldest: ${dayOf(oldest) === today() ? "today" : moment(oldest)}` : "Nothing is waiting",
      "#/deadletters",
      "Open them",
    ),
    cell(
      failedToday.count ? "warn" : "good",
      "Failed or repeated today",
      `${count(failedToday.count + duplicate.count)}${failedToday.more || duplicate.more ? "+" : ""}`,
      `${shown(failedToday)} failed, ${plural(duplicate.count, "duplicate")} ignored`,
      failedToday.count ? "#/requests?status=failed" : "#/requests?status=duplicate",
      "Open them",
    ),
  );
}
