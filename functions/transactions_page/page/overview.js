// The first view: sales of a period compared with another, and whether an event waits as a dead letter, or a request of
// today was rejected.

import { h, icon } from "/page/dom.js";
import {
  addDays,
  addMonths,
  count,
  currencyName,
  date,
  daysBetween,
  moment,
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
const wholeNumber = (value) => count(Number(value));
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

export async function overview(main, parameters, { alive, watch }) {
  const view = state("", { period: "30d", compare: "previous_period", metric: "net", currency: "" }, parameters);
  const dates = period(view.period, "30d"),
    interval = intervalOf(dates.from, dates.to);
  const report = (more) =>
    query("/v1/reports/sales", { from: dates.from, to: dates.to, compare: view.compare === "none" ? null : view.compare, ...more });
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
  const pickers = h("div", { class: "pickers" }, periodPicker(view, dates), comparePicker(view));
  main.append(heading("Overview", { actions: pickers }), health, tiles, chart, rest);
  const compared = COMPARE[view.compare] ?? COMPARE.previous_period;

  const path = report({ interval }),
    lowerHalf = import("/page/breakdowns.js");
  let found = await look(path);
  if (!alive()) return;
  const currencies = [...new Set([...found.totals, ...(found.compared_with?.totals ?? [])].map((total) => total.currency))];
  const own = session.account.currency,
    currency = currencies.includes(view.currency) ? view.currency : currencies.includes(own) || !currencies.length ? own : currencies[0];
  if (currencies.length > 1) pickers.append(currencyPicker(view, currencies, currency));
  const totalOf = (part) => part?.totals.find((total) => total.currency === currency) ?? NOTHING;
  const figuresOf = () => ({
    found,
    currency,
    interval,
    compared: found.compared_with && compared[1],
    total: totalOf(found),
    before: found.compared_with && totalOf(found.compared_with),
    points: pointsOf(found, currency, interval),
  });
  let figures = figuresOf();
  let metric = METRICS.some(([field]) => field === view.metric) ? view.metric : "net";
  const draw = () => {
    chart.replaceChildren(
      chartOf(
        figures,
        METRICS.find(([field]) => field === metric),
      ),
    );
    for (const tile of tiles.children) tile.setAttribute("aria-pressed", String(tile.dataset.metric === metric));
  };
  const drawAll = () => {
    tiles.replaceChildren(
      ...METRICS.map((one) =>
        tile(figures, one, () => {
          [metric] = one;
          history.replaceState(null, "", view.urlWith({ metric }));
          draw();
        }),
      ),
    );
    draw();
  };
  drawAll();

  const { breakdowns, healthOf, strip } = await lowerHalf;
  if (!alive()) return;
  const cells = h("div", { class: "strip" }, skeleton("the state of the data", 4, "strip-bones"));
  rest.append(cells);
  const drawHealth = async () => {
    try {
      const { notice, cells: drawn } = await healthOf();
      if (!alive()) return;
      health.replaceChildren(notice);
      cells.replaceChildren(strip(drawn));
    } catch (error) {
      if (alive()) health.replaceChildren(failed(error, drawHealth));
    }
  };
  const loaded = breakdowns(rest, report, currency, alive);
  let polls = 0;
  watch(async () => {
    await drawHealth();
    polls += 1;
    if (polls % FIGURES_EVERY || tiles.contains(document.activeElement) || chart.contains(document.activeElement)) return;
    const newer = await look(path);
    if (!alive() || newer === found) return;
    found = newer;
    figures = figuresOf();
    drawAll();
  });
  await drawHealth();
  await loaded;
}

// One point for each day, week or month, even one without orders, with the figures of the compared period (`old`).
function pointsOf(found, currency, interval) {
  const rows = (part) => new Map(part.rows.filter((row) => row.currency === currency).map((row) => [row.period, row]));
  // The first date of each day, week (from Monday) or month; that of the first one is the first date of the period.
  const starts = (part) => {
    const all = [];
    for (let day = part.from; day <= part.to;) {
      all.push(day);
      const monday = addDays(day, -((new Date(day).getUTCDay() + 6) % 7));
      day = interval === "day" ? addDays(day, 1) : interval === "week" ? addDays(monday, 7) : addMonths(day, 1);
    }
    return all;
  };
  const current = rows(found),
    old = found.compared_with ? rows(found.compared_with) : null,
    oldDays = old ? starts(found.compared_with) : [];
  return starts(found).map((day, i) => ({
    day,
    current: current.get(day) ?? NOTHING,
    oldDay: oldDays[i],
    old: oldDays[i] && (old.get(oldDays[i]) ?? NOTHING),
  }));
}

function tile({ total, before, compared, currency, points }, [field, name, hint, good, amount], choose) {
  const shown = amount ? (value) => money(value, currency, { whole: field !== "average_order_value" }) : wholeNumber;
  return h(
    "button",
    { type: "button", class: "kpi", title: hint, "data-metric": field, onclick: choose },
    h("span", { class: "kpi-name" }, name),
    h("span", { class: "kpi-value" }, shown(total[field])),
    h(
      "span",
      { class: "kpi-foot" },
      before
        ? [change(total[field], before[field], { good, than: compared }), soft(`from ${shown(before[field])}`)]
        : soft("In these dates"),
    ),
    spark(
      points.map((point) => Number(point.current[field])),
      good < 0 ? "quiet" : "",
    ),
  );
}

const BY = { day: "By day", week: "By week", month: "By month" };

function chartOf({ found, points, currency, interval, compared }, [field, name, hint, good, amount]) {
  const shown = amount ? (value) => money(value, currency) : wholeNumber,
    unfinished = found.to >= today();
  const label = (day) => (interval === "day" ? date(day, { week: true }) : interval === "week" ? `Week of ${date(day)}` : month(day));
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
        h("p", {}, points.map((point) => `${label(point.day)}: ${shown(point.current[field])}`).join(" · ")),
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
        label: label(point.day) + (unfinished && index === points.length - 1 ? " (so far)" : ""),
        axis: interval === "month" ? month(point.day) : date(point.day, { year: false }),
        values: [point.current, point.old].map((row) => (row ? Number(row[field]) : null)),
        texts: [point.current, point.old].map((row) => row && shown(row[field])),
        exact: [point.current, point.old].map((row) => row?.[field]),
        titles: [label(point.day) + (unfinished && index === points.length - 1 ? " (so far)" : ""), point.oldDay && label(point.oldDay)],
        note:
          compared &&
          point.old &&
          (() => [change(point.current[field], point.old[field], { good, than: compared }), ` against ${compared}`]),
      })),
    }),
    found.as_of && h("p", { class: "hint" }, `Days with very many orders are added up once an hour: as of ${moment(found.as_of)}.`),
  );
}

function periodPicker(view, dates) {
  const trigger = h(
    "button",
    { type: "button", class: "btn", id: "period" },
    icon("calendar"),
    h(
      "span",
      {},
      h("strong", {}, dates.custom ? "Dates" : dates.text),
      soft(h("span", { class: "wide-only" }, ` ${span(dates.from, dates.to)}`)),
    ),
    icon("down"),
  );
  return menu(
    trigger,
    choosePeriod(view.period, (value) => view.go({ period: value })),
    { label: "Choose the dates", kind: "wide-panel" },
  );
}

function comparePicker(view) {
  const [text] = COMPARE[view.compare] ?? COMPARE.previous_period;
  const trigger = h(
    "button",
    { type: "button", class: "btn", id: "compare" },
    h("span", {}, view.compare !== "none" && soft("vs. "), view.compare === "none" ? text : text[0].toLowerCase() + text.slice(1)),
    icon("down"),
  );
  return menu(
    trigger,
    (close) =>
      options(
        close,
        Object.entries(COMPARE).map(([value, [name]]) => [name, () => view.go({ compare: value }), "", value === view.compare]),
      ),
    { label: "Compare with" },
  );
}

function currencyPicker(view, currencies, currency) {
  const trigger = h("button", { type: "button", class: "btn", id: "currency" }, h("span", {}, currency), icon("down"));
  return menu(
    trigger,
    (close) => [
      options(
        close,
        currencies.map((code) => [`${code} · ${currencyName(code)}`, () => view.go({ currency: code }), "", code === currency]),
      ),
      h("p", { class: "hint pad" }, "Tillbook never converts currencies: each one has its own totals."),
    ],
    { label: "Currency" },
  );
}
