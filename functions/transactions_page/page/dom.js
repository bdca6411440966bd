// Elements, texts and times. Text goes in as text nodes only, so nothing that a shop sent is ever markup.

const SVG = "http://www.w3.org/2000/svg";

export function h(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// "1234567.5" as "1,234,567.50": digit by digit, for an amount may have more digits than a number holds.
export function digits(amount) {
  const [, sign, whole, rest] = /^(-?)(\d+)(\.\d+)?$/.exec(amount) ?? [null, "", amount, ""];
  return `${sign ? "−" : ""}${whole.replace(/\B(?=(\d{3})+$)/g, ",")}${rest ?? ""}`;
}

export function money(amount, currency, signed = false) {
  const plus = signed && !amount.startsWith("-") && Number(amount) !== 0 ? "+" : "";
  return `${plus}${digits(amount)} ${currency}`;
}

// JSON on lines of its own, each text and number as it stands.
export function pretty(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const tokens = json.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[[{]\s*[\]}]|[^\s"[\]{}:,]+|[[\]{}:,]/g) ?? [];
  return tokens.map((token) => {
    if (token === "{" || token === "[") { depth += 1; return token + line(); }
    if (token === "}" || token === "]") { depth -= 1; return line() + token; }
    if (token === ",") return token + line();
    return token === ":" ? ": " : token.replace(/^([[{])\s+/, "$1");
  }).join("");
}

export function when(iso, long = false) {
  const moment = new Date(iso);
  const today = moment.toDateString() === new Date().toDateString();
  const day = { year: long ? "numeric" : undefined, month: "short", day: "numeric" };
  const time = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const text = moment.toLocaleString("en", today && !long ? time : { ...day, ...time });
  return h("time", { datetime: iso, title: iso }, text);
}

export function plural(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

export const SOURCES = { orders_api: "Orders API", shopper_activity: "Shopper Activity" };

export function badge(status) {
  return h("span", { class: `badge ${status}` }, status);
}

export function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  clearTimeout(said.timer);
  said.timer = setTimeout(() => { said.textContent = ""; }, 5000);
}

export function heading(title, ...beside) {
  return h("div", { class: "heading" }, h("h1", { tabindex: "-1" }, title), h("div", { class: "beside" }, beside));
}

export function loading(what) {
  return h("p", { class: "loading", role: "status" }, `Loading ${what} …`);
}

export function failed(error, again) {
  return h("div", { class: "card error", role: "alert" }, h("p", {}, error.message),
    again && h("button", { type: "button", onclick: again }, "Try again"));
}

export function empty(title, ...lines) {
  return h("div", { class: "card empty" }, h("h2", {}, title), lines);
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

// `columns` is [[name, kinds], ...], `cells` a row in their order. The roles are said, for a phone shows a row as a block
// and a browser then forgets that it is one.
export function line(columns, cells, attributes = {}) {
  return h("tr", { role: "row", ...attributes }, cells.map((cell, index) => {
    const [name, kind] = columns[index];
    return h("td", { role: "cell", class: kind || "main", "data-label": kind?.includes("number") && cell?.length > 0 && name }, cell);
  }));
}

// A wide table scrolls in a box of its own, which the keyboard reaches.
export function table(label, columns, rows, body = h("tbody", { role: "rowgroup" }, rows.map((cells) => line(columns, cells)))) {
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label },
    h("table", { role: "table" }, h("caption", { class: "hidden" }, label),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" },
        columns.map(([name, kind]) => h("th", { role: "columnheader", scope: "col", class: kind }, name || h("span", { class: "hidden" }, "Actions"))))),
      body));
}
