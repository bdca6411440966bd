// The first view: sales of a period compared with another, and whether all requests of today were applied.

import { h, icon } from "/page/dom.js";
import {
  addDays,
  addMonths,
  count,
  currencyName,
  date,
  daysBetween,
  money,
  month,
  shortMoney,
  span,
  today,
  zoneName,
} from "/page/format.js";
import { look, query, session } from "/page/api.js";
import { card, change, failed, heading, menu, options, skeleton, soft } from "/page/ui.js";
import { line, spark } from "/page/charts.js";
import { choosePeriod, period, state } from "/page/filters.js";

const COMPARE = {
  previous_period: ["Previous period", "the period before"],
  previous_year: ["Same dates last year", "the same dates last year"],
  none: ["No comparison", ""],
};
const WHOLE = (value) => count(Number(value));
// [field of the report, name, explanation, 1 if more is good or -1 if it is bad, whether it is an amount]
const METRICS = [
  ["net", "Net revenue", "Order totals minus refunds, of the orders of these dates.", 1, true],
  ["orders", "Orders", "Orders of these dates.", 1, false],
  ["average_order_value", "Average order value", "Order totals divided by orders, before refunds.", 1, true],
  ["refunds", "Refunds", "Refunds of the orders of these dates, up to now.", -1, true],
  ["new_buyers", "New buyers", "Orders that your shop marked as a customer’s first.", 1, false],
];
const FIGURES_EVERY = 6; // the state of the data is polled each time, the figures every sixth time
const NOTHING = Object.fromEntries(METRICS.map(([field]) => [field, "0"]));

export const intervalOf = (from, to) => {
  const days = daysBetween(from, to) + 1;
  return days <= 92 ? "day" : days <= 400 ? "week" : "month";
};

export async function overview(main, asked, { alive, watch }) {
  const now = state("", { period: "30d", compare: "previous_period", metric: "net", currency: "" }, asked);
  const chosen = period(now.period, "30d"),
    interval = intervalOf(chosen.from, chosen.to);
  const report = (more) =>
    query("/v1/reports/sales", { from: chosen.from, to: chosen.to, compare: now.compare === "none" ? null : now.compare, ...more });
  const health = h(
    "div",
    { class: "arrived", role: "status" },
    h(
      "div",
      { class: "notice quiet" },
      icon("clock"),
      h("p", {}, "Checking whether everything that your shops sent has arrived, and whether anything was refused or is waiting…"),
    ),
  );
  const tiles = h(
    "div",
    { class: "kpis", role: "group", "aria-label": "Key figures. Choose one to show it in the chart." },
    METRICS.map(() => h("div", { class: "kpi bone" })),
  );
  const chart = h("div", { class: "chartplace" }, skeleton("the chart", 1, "chart-bone"));
  const rest = h("div", {});
  const pickers = h("div", { class: "pickers" }, periodPicker(now, chosen), comparePicker(now));
  main.append(heading("Overview", { actions: pickers }), health, tiles, chart, rest);
  const compared = COMPARE[now.compare] ?? COMPARE.previous_period;

  const path = report({ interval }),
    lower = import("/page/breakdowns.js");
  let found = await look(path);
  if (!alive()) return;
  const currencies = [...new Set([...found.totals, ...(found.compared_with?.totals ?? [])].map((total) => total.currency))];
  const own = session.account.currency,
    currency = currencies.includes(now.currency) ? now.currency : currencies.includes(own) || !currencies.length ? own : currencies[0];
  if (currencies.length > 1) pickers.append(currencyPicker(now, currencies, currency));
  const of = (part) => part?.totals.find((total) => total.currency === currency) ?? NOTHING;
  const viewOf = () => ({
    found,
    currency,
    interval,
    compared: found.compared_with && compared[1],
    total: of(found),
    before: found.compared_with && of(found.compared_with),
    points: pointsOf(found, currency, interval),
  });
  let view = viewOf();
  let metric = METRICS.some(([field]) => field === now.metric) ? now.metric : "net";
  const draw = () => {
    chart.replaceChildren(
      chartOf(
        view,
        METRICS.find(([field]) => field === metric),
      ),
    );
    for (const tile of tiles.children) tile.setAttribute("aria-pressed", String(tile.dataset.metric === metric));
  };
  const drawAll = () => {
    tiles.replaceChildren(
      ...METRICS.map((one) =>
        tile(view, one, () => {
          metric = one[0];
          history.replaceState(null, "", now.urlWith({ metric }));
          draw();
        }),
      ),
    );
    draw();
  };
  drawAll();

  const { breakdowns, healthOf, strip } = await lower;
  if (!alive()) return;
  const cells = h("div", { class: "strip" }, skeleton("the state of the data", 4, "strip-bones"));
  rest.append(cells);
  const again = async () => {
    try {
      const { notice, cells: drawn } = await healthOf();
      if (!alive()) return;
      health.replaceChildren(notice);
      cells.replaceChildren(strip(drawn));
    } catch (error) {
      if (alive()) health.replaceChildren(failed(error, again));
    }
  };
  const details = breakdowns(rest, report, view, alive);
  let looks = 0;
  watch(async () => {
    await again();
    looks += 1;
    if (looks % FIGURES_EVERY || tiles.contains(document.activeElement) || chart.contains(document.activeElement)) return;
    const newer = await look(path);
    if (!alive() || newer === found) return;
    found = newer;
    view = viewOf();
    drawAll();
  });
  await again();
  await details;
}

// One point for each day, week or month, also without orders, with the point of the compared period.
function pointsOf(found, currency, interval) {
  const rows = (part) => new Map(part.rows.filter((row) => row.currency === currency).map((row) => [row.period, row]));
  const starts = (part) => {
    const all = [],
      before = interval === "week" ? 1 : 0;
    for (let day = part.from; day <= part.to;) {
      all.push(day);
      const monday = addDays(day, -((new Date(day).getUTCDay() + 6) % 7));
      day = interval === "day" ? addDays(day, 1) : before ? addDays(monday, 7) : addMonths(day, 1);
    }
    return all;
  };
  const now = rows(found),
    old = found.compared_with ? rows(found.compared_with) : null,
    then = old ? starts(found.compared_with) : [];
  return starts(found).map((day, index) => ({
    day,
    now: now.get(day) ?? NOTHING,
    then: then[index],
    before: then[index] && (old.get(then[index]) ?? NOTHING),
  }));
}

function tile(view, [field, name, hint, good, amount], choose) {
  const shown = amount ? (value) => money(value, view.currency, { whole: field !== "average_order_value" }) : WHOLE;
  return h(
    "button",
    { type: "button", class: "kpi", title: hint, "data-metric": field, onclick: choose },
    h("span", { class: "kpi-name" }, name),
    h("span", { class: "kpi-value" }, shown(view.total[field])),
    h(
      "span",
      { class: "kpi-foot" },
      view.before
        ? [change(view.total[field], view.before[field], { good, than: view.compared }), soft(`from ${shown(view.before[field])}`)]
        : soft("In these dates"),
    ),
    spark(
      view.points.map((point) => Number(point.now[field])),
      good < 0 ? "quiet" : "",
    ),
  );
}

const BY = { day: "By day", week: "By week", month: "By month" };

function chartOf({ found, points, currency, interval, compared }, [field, name, hint, good, amount]) {
  const shown = amount ? (value) => money(value, currency) : WHOLE,
    unfinished = found.to >= today();
  const named = (day) => (interval === "day" ? date(day, { week: true }) : interval === "week" ? `Week of ${date(day)}` : month(day));
  const legend = h(
    "div",
    { class: "legend" },
    h("span", {}, h("span", { class: "swatch" }), span(found.from, found.to)),
    compared && h("span", {}, h("span", { class: "swatch before" }), span(found.compared_with.from, found.compared_with.to)),
  );
  const options = { id: "chart-title", note: `${BY[interval]}, ${zoneName()}`, aside: legend, kind: "chartcard" };
  if (points.length < 3) {
    return card(
      name,
      options,
      h(
        "div",
        { class: "empty small" },
        h("p", {}, points.map((point) => `${named(point.day)}: ${shown(point.now[field])}`).join(" · ")),
        h("p", {}, "Choose three days or more to see a chart."),
      ),
    );
  }
  return card(
    name,
    options,
    line({
      label: `${name}, ${span(found.from, found.to)}`,
      names: compared ? [name, `${name}, ${compared}`] : [name],
      open: unfinished,
      file: `${field}-${found.from}-${found.to}.csv`,
      short: amount ? (value) => shortMoney(value, currency) : (value) => (Number.isInteger(value) ? count(value) : ""),
      points: points.map((point, index) => ({
        day: point.day,
        label: named(point.day) + (unfinished && index === points.length - 1 ? " (so far)" : ""),
        axis: interval === "month" ? month(point.day) : date(point.day, { year: false }),
        values: [point.now, point.before].map((row) => (row ? Number(row[field]) : null)),
        texts: [point.now, point.before].map((row) => row && shown(row[field])),
        exact: [point.now, point.before].map((row) => row?.[field]),
        titles: [named(point.day) + (unfinished && index === points.length - 1 ? " (so far)" : ""), point.then && named(point.then)],
        note:
          compared &&
          point.before &&
          (() => [change(point.now[field], point.before[field], { good, than: compared }), ` against ${compared}`]),
      })),
    }),
    found.as_of && h("p", { class: "hint" }, `Days with very many orders are added up once an hour: as of ${date(found.as_of)}.`),
  );
}

function periodPicker(now, chosen) {
  const trigger = h(
    "button",
    { type: "button", class: "btn", id: "period" },
    icon("calendar"),
    h(
      "span",
      {},
      h("strong", {}, chosen.custom ? "Dates" : chosen.text),
      soft(h("span", { class: "wide-only" }, ` ${span(chosen.from, chosen.to)}`)),
    ),
    icon("down"),
  );
  return menu(
    trigger,
    choosePeriod(now.period, (value) => now.go({ period: value })),
    { label: "Choose the dates", kind: "wide-panel" },
  );
}

function comparePicker(now) {
  const [text] = COMPARE[now.compare] ?? COMPARE.previous_period;
  const trigger = h(
    "button",
    { type: "button", class: "btn", id: "compare" },
    h("span", {}, now.compare !== "none" && soft("vs. "), now.compare === "none" ? text : text[0].toLowerCase() + text.slice(1)),
    icon("down"),
  );
  return menu(
    trigger,
    (close) =>
      options(
        close,
        Object.entries(COMPARE).map(([value, [name]]) => [name, () => now.go({ compare: value }), "", value === now.compare]),
      ),
    { label: "Compare with" },
  );
}

function currencyPicker(now, currencies, currency) {
  const trigger = h("button", { type: "button", class: "btn", id: "currency" }, h("span", {}, currency), icon("down"));
  return menu(
    trigger,
    (close) => [
      options(
        close,
        currencies.map((code) => [`${code} · ${currencyName(code)}`, () => now.go({ currency: code }), "", code === currency]),
      ),
      h("p", { class: "hint pad" }, "Tillbook never converts currencies: each one has its own totals."),
    ],
    { label: "Currency" },
  );
}
