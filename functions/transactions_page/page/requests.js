// The request log: the outcome of each recorded request, explained. `t` is a request as the API lists it.

import { h } from "/page/dom.js";
import { count, moment, money, plural, pretty } from "/page/format.js";
import { csvPage, curl, encode, get, look, orNothing, query, textOf, v3 } from "/page/api.js";
import {
  badge,
  button,
  copyable,
  disclose,
  drawer,
  empty,
  facts,
  failed,
  heading,
  notice,
  skeleton,
  snippet,
  soft,
  when,
} from "/page/ui.js";
import { csvOfPages, table } from "/page/table.js";
import { chip, choiceField, choosePeriod, period, searchBox, state } from "/page/filters.js";
import { ACTIONS, RESULTS, SOURCES, explain, providerName, shortReason } from "/page/words.js";
import { orderAddress } from "/page/links.js";

const PAGE = 50,
  MOST_DAYS = 31; // the log has the last 30 days, which touch 31 dates
const DEFAULTS = { dates: "7d", status: "", source: "", action: "", order: "", request: "" };
const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

export const effectsOf = (t) =>
  t.effects.map((effect) => h("div", {}, h("strong", {}, money(effect.amount, effect.currency, { sign: true }))));
const sourceOf = (t) => (t.provider ? providerName(t.provider) : SOURCES[t.source]);
const actionOf = (t) => ACTIONS[t.action] ?? "";
// The order of a rejected request may not exist, so its link leads to all requests about that order.
const orderLinkOf = (t) => h("a", { href: t.status === "rejected" ? query("#/requests", { order: t.order_id }) : orderAddress(t) }, t.order_id);
// The status is a part of it, since a replayed request has two outcomes until the failed one is deleted.
const keyOf = (t) => `${t.request_id}/${t.status}`;

export async function requests(main, parameters, { alive, watch }) {
  const view = state("requests", DEFAULTS, parameters),
    dates = period(view.dates, "7d"),
    searched = view.order || view.request;
  const filters = searched
    ? { order_id: view.order, request_id: view.request, status: view.status, source: view.source }
    : { from: dates.from, to: dates.to, status: view.status, source: view.source, action: view.action };
  const path = (more) => query("/v1/transactions", { ...filters, ...more });
  const live = h("span", { class: "live" }, "Live"),
    box = h("div", { class: "card flush" }, skeleton("the requests", 12));
  const tabs = h("div", { class: "tabsbar", role: "group", "aria-label": "Result" }),
    counts = {};
  const drawTabs = () =>
    tabs.replaceChildren(
      ...[["", "All"], ...["applied", "duplicate", "rejected", "failed"].map((status) => [status, RESULTS[status][0]])].map(
        ([status, text]) =>
          h(
            "button",
            { type: "button", "aria-pressed": String(view.status === status), onclick: () => view.go({ status }) },
            text,
            counts[status] && h("span", { class: "n" }, `${count(counts[status].count)}${counts[status].more ? "+" : ""}`),
          ),
      ),
    );
  drawTabs();
  main.append(
    heading("Requests", {
      sub: "Everything your shops sent, and its outcome. Kept for 30 days.",
      actions: [!searched && live, csvOfPages("requests.csv", (cursor) => csvPage(path({ format: "csv", limit: 200, cursor })))],
    }),
    tabs,
    filterBar(view, dates),
    box,
  );

  const page = await get(path({ limit: PAGE }));
  if (!alive()) return;
  if (view.request) {
    await openNamed(page.transactions, view, alive);
    if (!alive()) return;
  }
  const list = new Live(box, page, view, path, alive);
  list.draw();
  const refreshCounts = async () => {
    const found = await look(query("/v1/transactions/counts", { from: dates.from, to: dates.to, source: view.source }));
    if (!alive()) return;
    for (const one of found.counts) counts[one.status] = one;
    drawTabs();
  };
  if (!searched) {
    watch(async () => {
      try {
        await list.refresh();
        live.className = "live";
        live.textContent = "Live";
      } catch (error) {
        if (!alive()) return;
        live.className = "live off";
        live.textContent = "Not live: " + error.message;
      }
      await refreshCounts();
    });
    await refreshCounts().catch(() => {});
  }
}

// The list, and the polling that keeps it current. New requests are added at the top; other rows are not replaced or
// moved, so that they keep the focus.
class Live {
  constructor(box, page, view, path, alive) {
    Object.assign(this, { box, view, path, alive, shown: page.transactions, cursor: page.next_cursor });
    this.rows = new Map();
    this.fresh = new Set();
    this.summary = h("span", {});
    this.more = button("Show more", { kind: "small", onclick: () => this.readOlder() });
    this.table = table({
      caption: "Requests, newest first",
      columns: COLUMNS,
      rows: [],
      layout: "requests",
      onrow: open,
      sticky: true,
      attributes: (t) => ({ "data-request": t.request_id }),
    });
    this.footer = h("footer", { class: "pager" }, this.summary, this.more);
    this.errorBox = h("div", {});
  }

  // Reads the first page again. Older rows stay if it overlaps the shown rows; otherwise they are dropped, since rows
  // between the page and them could be missing. A page without a next cursor has all rows.
  async refresh() {
    const page = await look(this.path({ limit: PAGE }));
    if (!this.alive() || page === this.last) return;
    this.last = page;
    const known = new Set(this.shown.map(keyOf)),
      read = new Set(page.transactions.map(keyOf));
    this.fresh = new Set([...read].filter((one) => !known.has(one)));
    const keepsOlder = page.next_cursor !== null && page.transactions.some((t) => known.has(keyOf(t)));
    const oldest = page.transactions.at(-1)?.request_id ?? "";
    // Ids of requests sort by time.
    const older = keepsOlder ? this.shown.filter((t) => t.request_id < oldest && !read.has(keyOf(t))) : [];
    if (!older.length) this.cursor = page.next_cursor;
    this.shown = [...page.transactions, ...older];
    this.draw();
  }

  async readOlder() {
    this.more.disabled = true;
    const from = this.cursor;
    try {
      const page = await get(this.path({ limit: PAGE, cursor: from }));
      if (!this.alive()) return;
      this.errorBox.replaceChildren();
      if (this.cursor === from) {
        this.cursor = page.next_cursor;
        this.shown = [...this.shown, ...page.transactions];
        this.fresh = new Set();
        this.draw();
      }
    } catch (error) {
      this.errorBox.replaceChildren(failed(error));
    }
    this.more.disabled = false;
  }

  draw() {
    if (!this.shown.length && this.cursor === null) {
      this.box.replaceChildren(emptyState(this.view));
      return;
    }
    const body = this.table.body;
    this.rows = new Map(this.shown.map((t) => [keyOf(t), this.rows.get(keyOf(t)) ?? this.table.makeRow(t)]));
    for (const one of this.fresh) this.rows.get(one)?.classList.add("new");
    const rows = new Set(this.rows.values());
    for (const old of [...body.children]) if (!rows.has(old)) old.remove();
    let next = body.firstChild;
    for (const row of rows) {
      if (row === next) next = next.nextSibling;
      else body.insertBefore(row, next);
    }
    this.more.hidden = this.cursor === null;
    this.summary.textContent =
      this.cursor === null ? plural(this.shown.length, "request") : `The newest ${count(this.shown.length)} are shown`;
    if (!this.table.isConnected) this.box.replaceChildren(this.table, this.errorBox, this.footer);
  }
}

const COLUMNS = [
  {
    key: "time",
    name: "Received",
    cell: (t) =>
      h(
        "button",
        {
          type: "button",
          class: "linklike",
          onclick: () => open(t),
          "aria-label": `Details of the request received ${moment(t.received_at, { seconds: true })}`,
        },
        when(t.received_at, { seconds: true }),
      ),
  },
  {
    key: "status",
    name: "Result",
    cell: (t) => [badge(...RESULTS[t.status]), t.status === "applied" && t.notes.length > 0 && [" ", badge("Note", "warn")]],
  },
  { key: "order", name: "Order", cell: (t) => (t.order_id ? orderLinkOf(t) : soft("Unknown")) },
  { key: "action", name: "Action", cell: actionOf },
  { key: "source", name: "Source", cell: sourceOf },
  { key: "key", name: "API key", kind: "soft", cell: (t) => t.key_label ?? "" },
  {
    key: "reason",
    name: "Reason",
    cell: (t) => h("span", { class: t.status === "rejected" || t.status === "failed" ? null : "soft" }, shortReason(t)),
  },
  { key: "change", name: "LTV change", number: true, cell: (t) => (t.effects.length ? effectsOf(t) : soft("–")) },
];

function open(t) {
  const { title, kind, icon, lines } = explain(t);
  const path = query("/v1/transactions", { request_id: t.request_id });
  drawer(
    "Request",
    null,
    notice(kind, icon, title, lines),
    t.status === "failed" && h("p", {}, h("a", { class: "btn", href: query("#/deadletters", { id: t.request_id }) }, "Open Dead letters")),
    facts([
      ["Order", t.order_id && orderLinkOf(t)],
      ["Action", actionOf(t)],
      ["Source", t.source && (t.provider ? `${providerName(t.provider)}, ${SOURCES[t.source]}` : SOURCES[t.source])],
      ["Fields", t.fields?.join(", ")],
      ["Lifetime value", t.effects?.length > 0 && effectsOf(t)],
      ["API key", t.key_label],
      ["Route", t.route],
      ["Received", t.received_at && when(t.received_at, { seconds: true })],
      ["Request ID", copyable(t.request_id, "the request ID", `${t.request_id.slice(0, 13)}…`)],
      [
        "Applied instead",
        t.original_request_id &&
          h("a", { href: query("#/requests", { request: t.original_request_id }) }, `${t.original_request_id.slice(0, 13)}…`),
      ],
    ]),
    disclose("Raw JSON", snippet(textOf(t) ? pretty(textOf(t)) : JSON.stringify(t, null, 2), "the JSON")),
    disclose("Same data with curl", snippet(curl("GET", path), "the command")),
  );
}

// Opens the request that the URL names. A queued request is not in the log yet; the API has its state on another route.
async function openNamed(found, view, alive) {
  if (found.length) return open(found[0]);
  const request = await orNothing(get(v3(`/requests/${encode(view.request)}`)));
  if (alive() && request?.status === "queued") open({ ...request, notes: [], effects: [], fields: [] });
  return undefined;
}

function filterBar(view, dates) {
  const find = (text) => view.go(REQUEST_ID.test(text) ? { request: text.toLowerCase(), order: "" } : { order: text, request: "" });
  const searched = view.order || view.request;
  return h(
    "div",
    { class: "filterbar", role: "group", "aria-label": "Filters" },
    searchBox(view.order || view.request, "Order or request ID", "Requests of an order, or one request", find),
    !searched &&
      chip(
        "Received",
        dates.text,
        choosePeriod(view.dates, (dates) => view.go({ dates }), { mostDays: MOST_DAYS }),
      ),
    !searched &&
      chip(
        "Action",
        ACTIONS[view.action] ?? "",
        choiceField(ACTIONS, view.action, (action) => view.go({ action })),
        () => view.go({ action: "" }),
      ),
    chip(
      "Source",
      SOURCES[view.source] ?? "",
      choiceField(SOURCES, view.source, (source) => view.go({ source })),
      () => view.go({ source: "" }),
    ),
    (searched || view.action || view.source) && h("a", { class: "btn ghost small", href: "#/requests" }, "Clear all"),
  );
}

function emptyState(view) {
  if (view.request) return empty("No such request", "Outcomes of requests are kept for 30 days. Was it sent to another account?");
  if (view.order) {
    return empty(`No request about order ${view.order}`, [
      "Was it sent? A request without a valid key leaves no trace: its sender got an error (401 or 403).",
      "Was it sent under another order number, for example with a prefix?",
      "If it was sent a moment ago, it may still be in the queue.",
    ]);
  }
  if (view.status === "failed") return empty("Nothing failed", "No request that matches the filters failed.");
  if (view.status || view.action || view.source || view.dates !== "7d")
    return empty(
      "No requests match",
      "Try a longer date range or remove a filter. Requests are kept for 30 days.",
      h("a", { class: "btn", href: "#/requests" }, "Clear filters"),
    );
  const order = { provider: "my_shop", email: "ann@example.com", action: "placed", order_id: "A-1", grand_total: 42.5 };
  return empty(
    "Nothing was sent yet",
    "Connect a shop, or send a first order and watch it arrive here:",
    h("a", { class: "btn", href: "#/connections" }, "Connect a shop"),
    snippet(curl("POST", v3("/shopper_activity/order"), order), "the command"),
  );
}
