// What came in: the live list, the sums of each day, and one request.

import { SOURCES, badge, empty, facts, failed, h, heading, line, loading, money, plural, say, table, when } from "/page/dom.js";
import { call, curl, encode, get, session, v3 } from "/page/api.js";
import { dailyBars } from "/page/charts.js";
import { explain, explainNote, warns } from "/page/reasons.js";

// In milliseconds. A look at the list costs the same however much there is; the sums cost what came in within the hour.
const EVERY = 1000, SLOW = 5000, BUSY_UNTIL = 120_000, SUMS_EVERY = 10_000;
const PAGE = 50;

export function copyAsCurl(method, path, body) {
  const text = curl(method, path, body);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      say("Copied.");
    } catch { // refused, or there is no clipboard: over plain HTTP from another machine
      say("Select the text and copy it.");
    }
  };
  return h("details", { class: "curl" }, h("summary", {}, `As curl: ${method} ${path.length > 60 ? `${path.slice(0, 59)}…` : path}`), h("pre", { tabindex: "0" }, text),
    h("button", { type: "button", class: "quiet", onclick: copy }, "Copy"));
}

export function effects(t) {
  return t.effects.map((effect) => h("div", {}, money(effect.amount, effect.currency, true)));
}

export function orderLink(t) {
  return t.order_id ? h("a", { href: `#/order/${encode(t.order_id)}` }, t.order_id) : "–";
}

export function row(t) {
  const why = t.status === "applied" ? t.notes.map(explainNote).join(" ") : t.reason ?? explain(t).lines[0];
  return [
    h("a", { href: `#/request/${encode(t.request_id)}` }, when(t.received_at)),
    [badge(t.status), warns(t) && [" ", h("span", { class: "badge duplicate" }, "note")]],
    [orderLink(t), why && h("span", { class: "why" }, why)],
    t.action === "rejected" ? "" : t.action,
    [SOURCES[t.source], t.provider && h("span", { class: "why" }, t.provider)],
    effects(t),
  ];
}

export const COLUMNS = [["Received", "time"], ["Status", "short"], ["Order", "full"], ["Action", "wide"], ["Source", "wide short"], ["LTV", "number"]];

export async function transactions(main, asked, alive) {
  const filters = { status: asked.get("status") ?? "", source: asked.get("source") ?? "" };
  const path = (more = {}) => {
    const query = new URLSearchParams(Object.entries({ ...filters, limit: PAGE, ...more }).filter(([, value]) => value));
    return `/v1/transactions?${query}`;
  };
  const sums = h("section", { class: "sums", "aria-label": "Day by day" }, loading("the sums"));
  const list = h("section", { "aria-label": "Requests" }, loading("what came in"));
  const live = h("span", { class: "live" }, "Live");
  const choose = (name, label, values) => h("label", {}, `${label} `, h("select", { name, onchange: (event) => {
    const query = new URLSearchParams({ ...filters, [name]: event.target.value });
    for (const [key, value] of [...query]) if (!value) query.delete(key);
    location.hash = `#/${query.size ? `?${query}` : ""}`;
  } }, h("option", { value: "" }, "all"), values.map(([value, text]) =>
    h("option", { value, selected: filters[name] === value }, text))));
  main.append(heading("Transactions", live), h("div", { class: "home" }, sums, h("div", {}, h("div", { class: "filters" },
    choose("status", "Status", ["applied", "duplicate", "rejected", "failed"].map((s) => [s, s])),
    choose("source", "Source", Object.entries(SOURCES))), list, copyAsCurl("GET", path()))));
  showSums(sums, alive);

  let shown = [], older = null, wanted = PAGE, seen = null, lines = new Map(), drawnOn = "", changed = Date.now(), summed = changed;
  const body = h("tbody", { role: "rowgroup" });
  const more = h("button", { type: "button", class: "quiet", onclick: async () => {
    more.disabled = true;
    wanted = shown.length + PAGE;
    try {
      const from = older;
      const page = await behind({ cursor: from });
      if (older === from) { // else the list ends elsewhere by now
        older = page.next_cursor;
        shown = [...shown, ...page.transactions];
        draw();
      }
    } catch (error) {
      say(error.message);
    }
    more.disabled = false;
  } }, "Show older ones");
  const box = h("div", {}, h("div", { class: "card" }, table("Requests, newest first", COLUMNS, [], body)), more);

  const id = (t) => `${t.request_id}/${t.status}`;

  // A page; its last one knows where the list goes on behind it.
  async function behind(more) {
    const page = await get(path(more));
    if (page.transactions.length) page.transactions.at(-1).behind = page.next_cursor;
    return page;
  }

  // A row that stays is neither made anew nor moved: it keeps the focus.
  function redraw(fresh) {
    const today = new Date().toDateString();
    if (drawnOn !== today) lines = new Map();
    drawnOn = today;
    lines = new Map(shown.map((t) => [id(t), lines.get(id(t)) ?? line(COLUMNS, row(t),
      { class: fresh.includes(t) && "new", "data-request": t.request_id })]));
    const rows = new Set(lines.values());
    for (const old of [...body.children]) if (!rows.has(old)) old.remove();
    let place = body.firstChild;
    for (const element of rows) {
      if (element === place) place = place.nextSibling;
      else body.insertBefore(element, place);
    }
  }

  function draw() {
    if (!shown.length) {
      list.replaceChildren(filters.status || filters.source ? empty("Nothing of this kind in the last 30 days.") : nothingYet());
      seen = new Set();
      return;
    }
    redraw(shown.filter((t) => seen && !seen.has(id(t))));
    seen = new Set(shown.map(id));
    more.hidden = older === null;
    if (!box.isConnected) list.replaceChildren(box);
  }

  while (alive()) {
    if (!document.hidden) {
      try {
        const page = await behind();
        if (!alive()) return;
        const known = new Set(page.transactions.map((t) => t.request_id));
        const last = page.transactions.at(-1)?.request_id ?? "";
        // What was shown beyond this page stays, unless there may be others between; what a purge took goes.
        const joins = page.next_cursor !== null && shown.some((t) => known.has(t.request_id));
        const kept = joins ? shown.filter((t) => t.request_id < last && !known.has(t.request_id)) : [];
        let next = [...page.transactions, ...kept];
        if (!kept.length) older = page.next_cursor;
        // As many as were asked for, to the end of a page.
        const end = next.findIndex((t, index) => index + 1 >= wanted && t.behind);
        if (end >= 0) {
          older = next[end].behind;
          next = next.slice(0, end + 1);
        }
        if (seen === null || next.map(id).join() !== shown.map(id).join()) {
          shown = next;
          draw();
          changed = Date.now();
        }
        if (changed > summed && Date.now() - summed > SUMS_EVERY) {
          summed = Date.now();
          showSums(sums, alive);
        }
        live.className = "live";
        live.textContent = "Live";
      } catch (error) {
        if (!alive()) return;
        if (seen === null) list.replaceChildren(failed(error, () => location.reload()));
        live.className = "live off";
        live.textContent = error.message;
      }
    }
    await new Promise((wake) => setTimeout(wake, Date.now() - changed < BUSY_UNTIL ? EVERY : SLOW));
  }
}

function nothingYet() {
  const order = { provider: "my_shop", email: "ann@example.com", action: "placed", order_id: "A-1", grand_total: 42.5 };
  return empty("Nothing came in yet.", h("p", {}, "Send a first order, and watch it arrive here:"),
    copyAsCurl("POST", v3("/shopper_activity/order"), order));
}

let drawing = null;

async function showSums(box, alive) {
  if (drawing === box) return;
  drawing = box;
  try {
    const sums = await get("/v1/transactions/summary");
    if (alive()) box.replaceChildren(...drawn(sums));
  } catch (error) {
    if (alive()) box.replaceChildren(failed(error, () => showSums(box, alive)));
  } finally {
    drawing = null;
  }
}

function drawn(sums) {
  const days = [];
  for (let day = Date.parse(sums.from); day <= Date.parse(sums.to); day += 86_400_000) days.push(new Date(day).toISOString().slice(0, 10));
  const byDay = (rows, value) => rows.reduce((found, r) => ({ ...found, [r.day]: (found[r.day] ?? 0) + r[value] }), {});
  const of = (source) => byDay(sums.requests.filter((r) => r.source === source && r.status === "applied"), "count");
  const status = (...names) => byDay(sums.requests.filter((r) => names.includes(r.status)), "count");
  const today = sums.days.filter((r) => r.day === sums.to);
  const currencies = [...new Set(sums.days.map((r) => r.currency))];
  const tiles = today.map((r) => h("div", {}, h("dt", {}, `Today (UTC), ${SOURCES[r.source]}`),
    h("dd", {}, money(r.amount, r.currency), h("span", { class: "why" }, plural(r.orders, "order")))));
  const refusedRows = sums.refused.slice(0, 20).map((r) => [badge(r.status), r.reason, String(r.count)]);
  const per = (rows, name, text) => rows.map((r) => [text(r[name]), String(r.orders), money(r.amount, r.currency)]);
  const buyers = per(sums.by_new_buyer, "new_buyer", (flag) => ({ true: "New", false: "Known" })[flag] ?? "Not said");
  const codes = per(sums.by_promo_code.slice(0, 20), "promo_code", (code) => code);
  const amounts = sums.days.slice().reverse().map((r) => [r.day, SOURCES[r.source], String(r.orders), money(r.amount, r.currency)]);
  return [
    tiles.length ? h("dl", { class: "tiles" }, tiles) : null,
    h("div", { class: "grid2" },
      h("div", { class: "card" }, dailyBars("Applied requests a day (UTC)", days,
        [["Orders API", "first", of("orders_api")], ["Shopper Activity", "second", of("shopper_activity")]])),
      h("div", { class: "card" }, dailyBars("Requests that did not count (UTC)", days,
        [["rejected or failed", "bad", status("rejected", "failed")], ["duplicates", "second", status("duplicate")]]))),
    h("details", { class: "card" }, h("summary", {}, `Sums in ${currencies.join(", ") || "detail"}: by day, new buyers, promo codes, reasons`),
      amounts.length ? table("Orders and amounts by day", [["Day (UTC)"], ["Source"], ["Orders", "number"], ["Amount", "number"]], amounts) : h("p", {}, "Nothing was applied on these days."),
      buyers.length > 0 && table("By new_buyer (Orders API)", [["Buyer"], ["Orders", "number"], ["Amount", "number"]], buyers),
      codes.length > 0 && table("By promo_code (Orders API)", [["Promo code"], ["Orders", "number"], ["Amount", "number"]], codes),
      refusedRows.length > 0 && table("Rejected and failed, by reason", [["Status"], ["Reason"], ["Count", "number"]], refusedRows),
      sums.earlier && h("p", { class: "hint" }, `There is more than could be added up at once: these are the days from ${sums.from}.`)),
  ].filter(Boolean);
}

export function verdict(title, kind, lines) {
  return h("section", { class: `card verdict ${kind}`, "aria-label": "Verdict" }, h("h2", {}, title),
    lines.length > 0 && h("ul", {}, lines.map((line) => h("li", {}, line))));
}

export async function request(main, id, alive) {
  main.append(heading("Request"), loading("the request"));
  const path = `/v1/transactions?request_id=${encode(id)}`;
  let found = (await get(path)).transactions;
  if (!alive()) return;
  if (!found.length) {
    const state = await get(v3(`/requests/${encode(id)}`)).catch((error) => (error.status === 404 ? null : Promise.reject(error)));
    if (!alive()) return;
    main.replaceChildren(heading("Request"), state?.status === "queued"
      ? verdict("It is queued.", "warn", ["It was accepted, or its id is at least young enough to be in the queue.",
        "Orders are applied within a second as a rule. If it stays so, look at the alarm on the queue's age.", "If nothing was ever sent under this id, it will stay queued until the id is too old."])
      : verdict("Nothing is known of it.", "bad", ["What became of a request is kept for 30 days.", "Is it another account's, or from another system?"]),
    copyAsCurl("GET", path));
    return;
  }
  main.replaceChildren(heading("Request"));
  for (const t of found) {
    const { title, kind, lines } = explain(t);
    main.append(verdict(title, kind, lines), h("section", { class: "card" }, facts([
      ["Status", badge(t.status)], ["Reason", t.reason], ["Fields", t.fields.join(", ")], ["Received", when(t.received_at, true)],
      ["Source", SOURCES[t.source]], ["Action", t.action === "rejected" ? null : t.action], ["Provider", t.provider], ["Order", orderLink(t)],
      ["LTV", t.effects.length ? effects(t) : null], ["Route", t.route], ["Key", t.key_label], ["Request id", t.request_id],
      ["Notes", t.notes.map(explainNote).join(" ")],
      ["Counted instead", t.original_request_id && h("a", { href: `#/request/${encode(t.original_request_id)}` }, t.original_request_id)],
    ])));
    if (t.status === "failed") main.append(h("p", {}, h("a", { href: "#/deadletters" }, "Dead letters")));
  }
  main.append(copyAsCurl("GET", path));
}

export { call, session };
