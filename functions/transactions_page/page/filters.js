// Filters, whose values are parameters of the page's URL: chips with menus, date presets, ranges.

import { h, icon } from "/page/dom.js";
import { addDays, addMonths, span, today } from "/page/format.js";
import { button, menu, options, soft } from "/page/ui.js";

// The parameters of a view, read from its URL, and go(changes), which opens the view with other values. `defaults`:
// {name: value}; the URL leaves out a parameter with its default.
export function state(view, defaults, parameters) {
  const values = {};
  for (const [name, value] of Object.entries(defaults)) values[name] = parameters.get(name) ?? value;
  const urlWith = (changes) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...values, ...changes })) {
      if (value && value !== defaults[name]) query.append(name, value);
    }
    return `#/${view}${query.size ? `?${query}` : ""}`;
  };
  return {
    ...values,
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
export const choiceField = (choices, current, choose) => (close) =>
  options(close, [
    ["Any", () => choose(""), "", !current],
    ...Object.entries(choices).map(([value, text]) => [text, () => choose(value), "", value === current]),
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

// `whole`: for a count, where the API refuses a sign or decimals; otherwise for an amount.
export function rangeField(label, low, high, choose, { whole = false } = {}) {
  const pattern = whole ? /^\d+$/ : /^-?\d+(\.\d+)?$/;
  return (close) => {
    const bound = (text, name, value) =>
      field(text, { name, inputmode: whole ? "numeric" : "decimal", value, placeholder: "No limit", autocomplete: "off" });
    const errorBox = h("p", { class: "error", role: "alert", hidden: true });
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
          errorBox.textContent = fault;
          errorBox.hidden = !fault;
          if (fault) return;
          close();
          choose(a, b);
        },
      },
      h("p", { class: "panel-title" }, label),
      h("div", { class: "two" }, bound("At least", "low", low), bound("At most", "high", high)),
      errorBox,
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

// Periods -------------------------------------------------

// The preset periods: {value: [text, first date, last date]}, with dates in the account's time zone.
export function presets() {
  const latest = today(),
    ago = (days) => addDays(latest, -days),
    first = (months) => addMonths(latest, -months);
  const yearAgo = `${Number(latest.slice(0, 4)) - 1}${latest.slice(4).replace("-02-29", "-02-28")}`;
  return {
    today: ["Today", latest, latest],
    yesterday: ["Yesterday", ago(1), ago(1)],
    "7d": ["Last 7 days", ago(6), latest],
    "30d": ["Last 30 days", ago(29), latest],
    "90d": ["Last 90 days", ago(89), latest],
    month: ["This month", first(0), latest],
    last: ["Last month", first(1), addDays(first(0), -1)],
    year: ["This year", `${latest.slice(0, 4)}-01-01`, latest],
    "12m": ["Last 12 months", addDays(yearAgo, 1), latest], // from the day after this date a year ago
  };
}

// Whether a text is an existing date, which 2026-02-30 is not.
const isDay = (text) => /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) && addDays(text, 0) === text;

// The period {text, from, to} that a parameter names: a preset, "2026-11-01..2026-11-30" or "all"; else `fallback`.
export function period(value, fallback) {
  const [from, to] = value.split("..");
  if (isDay(from) && isDay(to)) return { text: span(from, to), from, to, custom: true };
  if (value === "all") return { text: "All time", from: null, to: null };
  const [text, first, last] = presets()[Object.hasOwn(presets(), value) ? value : fallback];
  return { text, from: first, to: last };
}

// The menu of a period: the presets, and other dates. `all`: offers all time, too; `mostDays`: no date is earlier than the
// first of so many days up to today.
export function choosePeriod(current, choose, { all = false, mostDays = 0 } = {}) {
  return (close) => {
    const latest = today(),
      oldest = mostDays ? addDays(latest, 1 - mostDays) : null;
    const choices = Object.entries(presets())
      .filter(([, [, first]]) => !oldest || first >= oldest)
      .map(([value, [text, first, last]]) => [
        text,
        () => choose(value),
        first === last ? span(first, first).replace(/, \d+$/, "") : span(first, last).replace(/, \d{4}$/, ""),
        value === current,
      ]);
    if (all) choices.push(["All time", () => choose("all"), "", current === "all"]);
    const day = (text, name, value) => field(text, { name, type: "date", value, min: oldest, max: latest, required: true });
    const errorBox = h("p", { class: "error", role: "alert", hidden: true });
    const shown = period(current, "30d");
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
              errorBox.textContent = "The start must not be after the end.";
              errorBox.hidden = false;
              return;
            }
            close();
            choose(`${from}..${to}`);
          },
        },
        h("p", { class: "panel-title" }, "Other dates"),
        day("Start", "from", shown.from ?? latest),
        day("End", "to", shown.to ?? latest),
        errorBox,
        h("button", { type: "submit", class: "btn primary" }, "Apply"),
      ),
    );
  };
}
