// SVG charts: a line or steps with a crosshair, sparklines and bars.

import { h, svg } from "/page/dom.js";
import { disclose } from "/page/ui.js";
import { csvButton, table } from "/page/table.js";

const LEFT = 56,
  RIGHT = 12,
  TOP = 10,
  BOTTOM = 26;

// Round numbers at equal distances, from `low` or below to `high` or above, with about `wanted` distances.
function ticks(low, high, wanted = 4) {
  const rough = (high - low || 1) / wanted,
    power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((size) => size * power).find((size) => size >= rough);
  const found = [];
  for (let at = Math.floor(low / step) * step; at < high + step * 0.999; at += step) found.push(at);
  return found;
}

const path = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

// A line chart, drawn at the size at which it is shown. The arrow keys move the crosshair, a screen reader reads its
// point, and the numbers are also in a table, which can be saved as the CSV `file`. `names`: of the current and, if any,
// the compared line. `points`: [{label, axis, at (0 to 1, if uneven), values: [current, compared], titles, texts, note}].
// Values are numbers, which set the height; texts are shown. `short` formats a value for the axis. `open`: the period of
// the last point is not over. `step`: a value holds until the next point. `dots`: each point has a dot. `marks`:
// [[position from 0 to 1, text]], shown on the axis instead of the points' texts.
export function line({ label, points, names, short, height = 260, step = false, open = false, dots = false, marks, file }) {
  const holder = h("div", {
    class: "plot",
    tabindex: "0",
    role: "group",
    "aria-roledescription": "chart",
    "aria-label": `${label}. The left and right arrow keys read each point.`,
  });
  holder.style.minHeight = `${height}px`;
  const tip = h("div", { class: "tip", hidden: true }),
    spoken = h("div", { class: "hidden", role: "status" });
  const cross = svg("line", { class: "cross", y1: TOP, y2: height - BOTTOM, visibility: "hidden" });
  const rings = names.map((_, number) => svg("circle", { r: 4.5, class: `ring ${number ? "before" : ""}`, visibility: "hidden" }));
  let x = () => 0,
    y = () => 0,
    width = 0,
    index = null;

  function draw() {
    width = holder.clientWidth;
    if (!width) return;
    const wide = width - LEFT - RIGHT,
      tall = height - TOP - BOTTOM,
      values = points.flatMap((point) => point.values).filter((value) => value !== null);
    const grid = ticks(Math.min(0, ...values), Math.max(1e-9, ...values));
    x = (i) => LEFT + wide * (points[i].at ?? (points.length > 1 ? i / (points.length - 1) : 0.5));
    y = (value) => TOP + tall * (1 - (value - grid[0]) / (grid.at(-1) - grid[0]));
    holder.querySelector("svg")?.remove();
    holder.prepend(
      svg(
        "svg",
        { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
        grid.map((value) => [
          svg("line", { x1: LEFT, x2: LEFT + wide, y1: y(value), y2: y(value), class: value === 0 ? "grid zero" : "grid" }),
          svg("text", { x: LEFT - 10, y: y(value) + 4, class: "axis end" }, short(value)),
        ]),
        labels(wide).map(([left, text]) =>
          svg("text", { x: left, y: height - 6, class: `axis ${left > LEFT + wide - 20 ? "end" : "middle"}` }, text),
        ),
        names.map((_, number) => shape(number, LEFT + wide, y(Math.max(grid[0], 0)))).reverse(),
        dots &&
          points.map((point, i) =>
            svg("circle", { cx: x(i), cy: y(point.values[0]), r: points.length > 40 ? 2.2 : 3.2, class: "spot" }),
          ),
        cross,
        rings,
      ),
    );
    if (index !== null) show(index, false);
  }

  function labels(wide) {
    const size = marks?.length ?? points.length,
      every = Math.max(1, Math.ceil(size / Math.max(2, Math.floor(wide / 80))));
    const all = marks?.map(([part, text]) => [LEFT + part * wide, text]) ?? points.map((point, i) => [x(i), point.axis]);
    return all.filter((_, i) => (size - 1 - i) % every === 0);
  }

  function shape(number, end, floor) {
    let corners = points
      .map((point, i) => [x(i), point.values[number]])
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([left, value]) => [left, y(value)]);
    if (!corners.length) return null;
    if (step)
      corners = [
        ...corners.flatMap(([left, top], i) =>
          i
            ? [
                [left, corners[i - 1][1]],
                [left, top],
              ]
            : [[left, top]],
        ),
        [end, corners.at(-1)[1]],
      ];
    if (number) return svg("path", { d: path(corners), class: "line before" });
    const dotted = open && corners.length > 2;
    return [
      svg("path", { d: `${path(corners)}V${floor}H${corners[0][0]}Z`, class: "area" }),
      svg("path", { d: path(dotted ? corners.slice(0, -1) : corners), class: "line now" }),
      dotted && svg("path", { d: path(corners.slice(-2)), class: "line now open" }),
    ];
  }

  function show(wanted, speak = true) {
    index = Math.max(0, Math.min(points.length - 1, wanted));
    const point = points[index],
      at = x(index);
    for (const end of ["x1", "x2"]) cross.setAttribute(end, at);
    cross.setAttribute("visibility", "visible");
    const rows = names.map((_, number) => number).filter((number) => point.values[number] !== null && point.values[number] !== undefined);
    rings.forEach((ring, number) => {
      ring.setAttribute("visibility", rows.includes(number) ? "visible" : "hidden");
      if (rows.includes(number)) {
        ring.setAttribute("cx", at);
        ring.setAttribute("cy", y(point.values[number]));
      }
    });
    tip.replaceChildren(
      ...rows.map((number) =>
        h(
          "div",
          { class: "tip-row" },
          h("span", { class: `swatch ${number ? "before" : ""}` }),
          h("span", {}, point.titles[number]),
          h("strong", {}, point.texts[number]),
        ),
      ),
      ...(point.note ? [h("div", { class: "tip-foot" }, point.note())] : []),
    );
    tip.hidden = false;
    const beside = at + tip.offsetWidth + 20 > width ? at - tip.offsetWidth - 14 : at + 14;
    tip.style.transform = `translate(${Math.max(4, Math.min(beside, width - tip.offsetWidth - 4))}px, 12px)`;
    if (speak) spoken.textContent = rows.map((number) => `${point.titles[number]}: ${point.texts[number]}`).join(". ");
  }

  function hide() {
    index = null;
    tip.hidden = true;
    for (const element of [cross, ...rings]) element.setAttribute("visibility", "hidden");
  }

  holder.append(tip, spoken);
  holder.addEventListener("pointermove", (event) => {
    const mouse = event.clientX - holder.getBoundingClientRect().left;
    const nearest = points.reduce((best, _, i) => (Math.abs(x(i) - mouse) < Math.abs(x(best) - mouse) ? i : best), 0);
    if (nearest !== index) show(nearest, false);
  });
  holder.addEventListener("pointerleave", hide);
  holder.addEventListener("blur", hide);
  holder.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
    if (event.key === "Escape") hide();
    if (!move) return;
    event.preventDefault();
    show(index === null ? (move === -Infinity ? 0 : points.length - 1) : index + move);
  });
  new ResizeObserver(draw).observe(holder);
  return h("figure", { class: "chart" }, holder, numbers(label, points, names, file));
}

function numbers(label, points, names, file) {
  const columns = [
    { key: "when", name: "When", cell: (point) => point.label, csv: (point) => point.day ?? point.label },
    ...names.map((name, number) => ({
      key: `s${number}`,
      name,
      number: true,
      cell: (point) => point.texts[number] ?? "–",
      csv: (point) => point.exact?.[number] ?? point.texts[number],
    })),
  ];
  const body = h("div", { class: "scroll short", tabindex: "0", role: "region", "aria-label": `${label}, as a table` });
  const details = disclose("View as table", body, csvButton(file, columns, points, "Export CSV"));
  details.addEventListener("toggle", () => {
    if (details.open && !body.firstChild) body.append(table({ caption: label, layout: "plain", columns, rows: [...points].reverse() }));
  });
  return details;
}

export function spark(values, kind = "") {
  const [width, height] = [96, 28],
    high = Math.max(...values),
    low = Math.min(0, ...values);
  const points = values.map((value, i) => [
    1 + (i / (values.length - 1 || 1)) * (width - 2),
    2 + (height - 4) * (1 - (value - low) / (high - low || 1)),
  ]);
  return svg(
    "svg",
    { class: `spark ${kind}`, viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    values.length > 1 && [
      svg("path", { d: `${path(points)}V${height}H1Z`, class: "area" }),
      svg("path", { d: path(points), class: "line", "vector-effect": "non-scaling-stroke" }),
    ],
  );
}

// A bar that fills `part` of its width, from 0 to 1.
export function bar(part) {
  const element = svg(
    "svg",
    { class: "bar", "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 6" },
    svg("rect", { width: 100, height: 6, class: "track" }),
    svg("rect", { height: 6, class: "fill" }),
  );
  setBar(element, part);
  return element;
}

// An amount of almost nothing still shows, as 0.8 % of the bar.
export const setBar = (element, part) => element.lastChild.setAttribute("width", Math.max(0.8, Math.min(1, part) * 100));

// One bar that is divided into parts, [[share from 0 to 1, class], ...].
export function split(parts) {
  let x = 0;
  return svg(
    "svg",
    { class: "splitbar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
    parts.map(([part, kind], i) => {
      const gap = i ? 0.4 : 0,
        rectangle = svg("rect", { x: x + gap, width: Math.max(0, part * 100 - gap), height: 10, class: kind });
      x += part * 100;
      return rectangle;
    }),
  );
}
