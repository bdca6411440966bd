// Filters, whose values are parameters of the page's URL: chips with menus, date presets, ranges.

import { h, icon } from "/page/dom.js";
import { addDays, addMonths, span, today } from "/page/format.js";
import { button, menu, options, soft } from "/page/ui.js";

// The parameters of a view, read from its URL (`asked`). `defaults`: {name: value}. A parameter with its default value is
// left out of the URL.
export function state(view, defaults, asked) {
  const found = {};
  for (const [name, value] of Object.entries(defaults)) found[name] = asked.get(name) ?? value;
  const urlWith = (changes) => {
    const parameters = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...found, ...changes })) {
      if (value && value !== defaults[name]) parameters.append(name, value);
    }
    return `#/${view}${parameters.size ? `?${parameters}` : ""}`;
  };
  return {
    ...found,
    urlWith,
    go: (changes) => {
      location.hash = urlWith(changes);
    },
  };
}

// A filter's chip: grey and dashed while the filter is off; with its value and an x while it is on.
export function chip(name, value, content, clear) {
  const trigger = h(
    "button",
    { type: "button", class: `chip ${value ? "on" : ""}` },
    value ? [soft(`${name}: `), h("strong", {}, value)] : [icon("plus"), name],
    icon("down"),
  );
  return h(
    "span",
    { class: "chipbox" },
    menu(trigger, content, { label: `Filter by ${name.toLowerCase()}` }),
    value && clear && button("", { kind: "chip-x", icon: "close", label: `Remove the filter ${name}: ${value}`, onclick: clear }),
  );
}

// The menu of a chip: a list to choose one of `choices`, {value: text}, or "Any".
export const choiceField = (choices, chosen, choose) => (close) =>
  options(close, [
    ["Any", () => choose(""), "", !chosen],
    ...Object.entries(choices).map(([value, text]) => [text, () => choose(value), "", value === chosen]),
  ]);

let fields = 0;

// A labelled input. Each has an id of its own, because the panel of a closed menu stays in the page.
function field(label, attributes, hint) {
  const id = `filter-${(fields += 1)}`;
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    h("input", { id, ...attributes }),
    hint && h("p", { class: "hint" }, hint),
  );
}

export function textField(label, value, choose, { placeholder = "", hint } = {}) {
  return (close) =>
    h(
      "form",
      {
        class: "checks",
        onsubmit: (event) => {
          event.preventDefault();
          close();
          choose(event.target.elements.text.value.trim());
        },
      },
      field(label, { name: "text", value, placeholder, autocomplete: "off" }, hint),
      h("button", { type: "submit", class: "btn primary small" }, "Apply"),
    );
}

export const rangeText = (low, high) => (low && high ? `${low} – ${high}` : low ? `${low} or more` : high && `up to ${high}`);

// `whole`: the range of a number of things, which the API refuses with a sign or decimals; otherwise of an amount.
export function rangeField(label, low, high, choose, { whole = false } = {}) {
  const pattern = whole ? /^\d+$/ : /^-?\d+(\.\d+)?$/;
  return (close) => {
    const bound = (text, name, value) =>
      field(text, { name, inputmode: whole ? "numeric" : "decimal", value, placeholder: "No limit", autocomplete: "off" });
    const wrong = h("p", { class: "error", role: "alert", hidden: true });
    return h(
      "form",
      {
        class: "checks",
        onsubmit: (event) => {
          event.preventDefault();
          const [a, b] = ["low", "high"].map((name) => event.target.elements[name].value.trim());
          const fault = [a, b].some((text) => text && !pattern.test(text))
            ? `Enter a ${whole ? "whole number, such as 3" : "number, such as 49.90"}.`
            : a && b && Number(a) > Number(b)
              ? "The first number must not be above the second."
              : "";
          wrong.textContent = fault;
          wrong.hidden = !fault;
          if (fault) return;
          close();
          choose(a, b);
        },
      },
      h("p", { class: "panel-title" }, label),
      h("div", { class: "two" }, bound("At least", "low", low), bound("At most", "high", high)),
      wrong,
      h("button", { type: "submit", class: "btn primary small" }, "Apply"),
    );
  };
}

export function searchBox(value, placeholder, label, choose) {
  return h(
    "form",
    {
      class: "mini-search",
      onsubmit: (event) => {
        event.preventDefault();
        choose(event.target.elements.q.value.trim());
      },
    },
    icon("search"),
    h("input", {
      name: "q",
      type: "search",
      value,
      placeholder,
      "aria-label": label,
      autocomplete: "off",
      spellcheck: "false",
      maxlength: "300",
    }),
  );
}

// Periods -----------------------------------------------------------------------------------------------------------

// The preset periods: {value: [text, first date, last date]}, with dates in the account's time zone.
export function presets() {
  const now = today(),
    ago = (days) => addDays(now, -days),
    first = (months) => addMonths(now, -months);
  const yearAgo = `${Number(now.slice(0, 4)) - 1}${now.slice(4).replace("-02-29", "-02-28")}`;
  return {
    today: ["Today", now, now],
    yesterday: ["Yesterday", ago(1), ago(1)],
    "7d": ["Last 7 days", ago(6), now],
    "30d": ["Last 30 days", ago(29), now],
    "90d": ["Last 90 days", ago(89), now],
    month: ["This month", first(0), now],
    last: ["Last month", first(1), addDays(first(0), -1)],
    year: ["This year", `${now.slice(0, 4)}-01-01`, now],
    "12m": ["Last 12 months", addDays(yearAgo, 1), now], // from the day after this date a year ago
  };
}

// Whether a text is a date of the calendar, which 2026-02-30 is not.
const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && addDays(text, 0) === text;

// The period {text, from, to} that a parameter names: a preset, "2026-11-01..2026-11-30" or "all"; else `fallback`.
export function period(value, fallback) {
  const [from, to] = value.split("..");
  if (isDay(from) && isDay(to)) return { text: span(from, to), from, to, custom: true };
  if (value === "all") return { text: "All time", from: null, to: null };
  const [text, first, last] = presets()[Object.hasOwn(presets(), value) ? value : fallback];
  return { text, from: first, to: last };
}

export function choosePeriod(chosen, choose, { all = false, mostDays = 0 } = {}) {
  return (close) => {
    const now = today(),
      oldest = mostDays ? addDays(now, 1 - mostDays) : null;
    const choices = Object.entries(presets())
      .filter(([, [, first]]) => !oldest || first >= oldest)
      .map(([value, [text, first, last]]) => [
        text,
        () => choose(value),
        first === last ? span(first, first).replace(/, \d+$/, "") : span(first, last).replace(/, \d{4}$/, ""),
        value === chosen,
      ]);
    if (all) choices.push(["All time", () => choose("all"), "", chosen === "all"]);
    const day = (text, name, value) => field(text, { name, type: "date", value, min: oldest, max: now, required: true });
    const wrong = h("p", { class: "error", role: "alert", hidden: true });
    const shown = period(chosen, "30d");
    return h(
      "div",
      { class: "period" },
      options(close, choices),
      h(
        "form",
        {
          class: "custom",
          onsubmit: (event) => {
            event.preventDefault();
            const from = event.target.elements.from.value,
              to = event.target.elements.to.value;
            if (from > to) {
              wrong.textContent = "The start must not be after the end.";
              wrong.hidden = false;
              return;
            }
            close();
            choose(`${from}..${to}`);
          },
        },
        h("p", { class: "panel-title" }, "Other dates"),
        day("Start", "from", shown.from ?? now),
        day("End", "to", shown.to ?? now),
        wrong,
        h("button", { type: "submit", class: "btn primary" }, "Apply"),
      ),
    );
  };
}
