// Bars and steps, drawn by hand: each has its numbers as a table beneath, for who cannot see or wants to copy them.

import { h, svg, table, digits } from "/page/dom.js";

const HEIGHT = 160, LEFT = 46, BOTTOM = 20, TOP = 8;
let WIDTH = 640;

// As wide as it will be shown, so that its letters are as large as the others; `parts` charts stand beside each other.
function fit(parts) {
  const room = document.getElementById("main").clientWidth;
  WIDTH = Math.max(280, Math.min(1000, Math.round(room / (room > 760 ? parts : 1)) - 60));
}

function frame(label, top, shown, ...marks) {
  const lines = [0, 0.5, 1].map((part) => {
    const y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - part);
    return [svg("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y, class: "grid" }),
      svg("text", { x: LEFT - 6, y: y + 4, class: "axis end" }, shown(top * part))];
  });
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label, class: "chart" }, lines, marks);
}

function round(top) {
  const power = 10 ** Math.floor(Math.log10(top || 1));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= top) || 1;
}

const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function numbers(label, columns, rows) {
  return h("details", { class: "numbers" }, h("summary", {}, "Numbers"), table(label, columns, rows));
}

// `series` is [[name, class, {day: count}], ...]; the bars of one day stand on each other.
export function dailyBars(title, days, series) {
  fit(2);
  const of = (day) => series.reduce((sum, [, , counts]) => sum + (counts[day] ?? 0), 0);
  const top = Math.max(2, round(Math.max(...days.map(of))));
  const step = (WIDTH - LEFT) / days.length, height = HEIGHT - TOP - BOTTOM;
  const every = Math.ceil(days.length / 7);
  const bars = days.map((day, index) => {
    const x = LEFT + index * step;
    let y = HEIGHT - BOTTOM;
    const stack = series.map(([name, kind, counts]) => {
      const tall = ((counts[day] ?? 0) / top) * height;
      y -= tall;
      return tall > 0 && svg("rect", { x: x + step * 0.15, y, width: step * 0.7, height: tall, rx: 2, class: kind },
        svg("title", {}, `${day}: ${counts[day]} ${name}`));
    });
    const text = (days.length - 1 - index) % every === 0 &&
      svg("text", { x: x + step / 2, y: HEIGHT - 4, class: "axis middle" }, day.slice(5));
    return [stack, text];
  });
  const sums = series.map(([name, , counts]) => `${days.reduce((sum, day) => sum + (counts[day] ?? 0), 0)} ${name}`);
  return h("figure", {},
    h("figcaption", {}, h("span", { class: "title" }, title), h("span", { class: "legend" },
      series.map(([name, kind]) => h("span", { class: `key ${kind}` }, name)))),
    frame(`${title}: ${sums.join(", ")}, ${days[0]} to ${days.at(-1)}`, top, (n) => short.format(n), bars),
    numbers(title, [["Day"], ...series.map(([name]) => [name, "number"])],
      [...days].reverse().map((day) => [day, ...series.map(([, , counts]) => String(counts[day] ?? 0))])));
}

// `points` is [{at: iso, amount: text, text}], the oldest first; the value holds until the next one.
export function steps(title, currency, points) {
  fit(1);
  const values = points.map((point) => Number(point.amount));
  const high = Math.max(0, ...values), low = Math.min(0, ...values);
  const top = round(Math.max(high, -low)), span = (high > 0 ? top : 0) + (low < 0 ? top : 0) || 1;
  const floor = low < 0 ? -top : 0;
  const first = Date.parse(points[0].at), last = Math.max(Date.now(), Date.parse(points.at(-1).at));
  const x = (iso) => LEFT + ((Date.parse(iso) - first) / (last - first || 1)) * (WIDTH - LEFT - 8) + 2;
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - floor) / span);
  let path = "";
  points.forEach((point, index) => {
    path += index ? `H${x(point.at).toFixed(1)}V${y(values[index]).toFixed(1)}` : `M${x(point.at)} ${y(values[0])}`;
  });
  const zero = y(0).toFixed(1), end = `${path}H${WIDTH - 6}`;
  const dots = points.map((point, index) => svg("circle", { cx: x(point.at), cy: y(values[index]), r: 3.5, class: "dot" },
    svg("title", {}, `${point.at}: ${digits(point.amount)} ${currency} (${point.text})`)));
  const grid = [floor, floor + span / 2, floor + span].map((value) => [
    svg("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value), class: "grid" }),
    svg("text", { x: LEFT - 6, y: y(value) + 4, class: "axis end" }, short.format(value))]);
  const ends = [[points[0].at, "start", LEFT], [new Date(last).toISOString(), "end", WIDTH - 2]].map(([iso, kind, at]) =>
    svg("text", { x: at, y: HEIGHT - 4, class: `axis ${kind}` }, iso.slice(0, 10)));
  return h("figure", {}, h("figcaption", {}, h("span", { class: "title" }, title)),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart",
      "aria-label": `${title}: ${digits(points.at(-1).amount)} ${currency} after ${points.length} steps` },
    grid, svg("path", { d: `${end}V${zero}H${x(points[0].at).toFixed(1)}Z`, class: "area" }),
    svg("path", { d: end, class: "line" }), dots, ends),
    numbers(title, [["When"], ["What"], [currency, "number"]],
      [...points].reverse().map((point) => [point.at, point.text, digits(point.amount)])));
}
