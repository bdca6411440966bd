// Tables and their exports as CSV. On a phone rows are cards; arrow keys move between rows.

import { h, hidden, icon } from "/page/dom.js";
import { button, toast } from "/page/ui.js";
import { count, plural } from "/page/format.js";

// A column is {key, name, label, number, kind, sort, cell(row), csv(row), file}. `label` names a column whose heading is
// empty. `kind` is a class of the style sheet. `sort` is the sort key of the API or the view. A column without `csv` is
// not exported; `file` is its heading in the file if that is not `name`.
// The table's own `sort` is {key, down}; `onsort(key, down)` is called to change it. A click on a row opens
// `href(row)`, or calls `onrow(row)`. The returned element also has `add(rows)`, `makeRow(row)` and `body`.
// The roles are explicit, because a browser drops a row's role if the style sheet displays the row as a block, as on a
// phone.
export function table({ caption, columns, rows, layout = "", sort, onsort, href, onrow, attributes = () => ({}), sticky = false }) {
  const body = h("tbody", { role: "rowgroup" });
  const makeRow = (row) =>
    h(
      "tr",
      {
        role: "row",
        class: href || onrow ? "linked" : null,
        ...attributes(row),
        onclick:
          (href || onrow) &&
          ((event) => {
            if (event.target.closest("a, button, input, label") || getSelection().toString()) return;
            if (href) location.hash = href(row);
            else onrow(row);
          }),
      },
      columns.map((column) => h("td", { role: "cell", class: classOf(column) }, column.cell(row))),
    );
  const head = columns.map((column) => {
    const sorted = column.sort && sort?.key === column.sort;
    return h(
      "th",
      { scope: "col", role: "columnheader", class: classOf(column), "aria-sort": sorted ? (sort.down ? "descending" : "ascending") : null },
      column.sort
        ? h(
            "button",
            { type: "button", class: `sorter ${sorted ? "on" : ""}`, onclick: () => onsort(column.sort, sorted ? !sort.down : true) },
            column.name,
            icon(sorted && !sort.down ? "up" : "fall"),
          )
        : column.name || hidden(column.label ?? "Actions"),
    );
  });
  const element = h(
    "table",
    { class: `data ${layout} ${sticky ? "sticky" : ""}`, role: "table", onkeydown: moveBetweenRows },
    h("caption", { class: "hidden" }, caption),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    body,
  );
  element.add = (more) => body.append(...more.map(makeRow));
  element.makeRow = makeRow;
  element.body = body;
  element.add(rows);
  return element;
}

const classOf = (column) => `c-${column.key} ${column.number ? "number" : ""} ${column.kind ?? ""}`;

// Up, down, Home and End move the focus to the link in the same column of another row, or else to its first link.
function moveBetweenRows(event) {
  const row = event.target.closest("tbody tr");
  if (!row || event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea")) return;
  const rows = [...row.parentElement.children],
    index = rows.indexOf(row);
  const target = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: rows.length - 1 }[event.key];
  if (target === undefined || !rows[target]) return;
  event.preventDefault();
  const column = [...row.children].indexOf(event.target.closest("td"));
  (rows[target].children[column].querySelector("a, button") ?? rows[target].querySelector("a, button"))?.focus();
}

// CSV -----------------------------------------------------

// A text that a spreadsheet would take as a formula gets an apostrophe before it.
function csvField(value) {
  const text = String(value ?? ""),
    safe = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

// Saves a file. If `rows`, their number, is given, a toast names it.
export function save(name, text, rows, type = "text/csv") {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  if (rows !== undefined) toast(`Saved ${plural(rows, "row")} as ${name}.`);
}

export function saveRows(name, columns, rows) {
  const known = columns.filter((column) => column.csv);
  const lines = [known.map((column) => column.file ?? column.name), ...rows.map((row) => known.map((column) => column.csv(row)))];
  save(name, lines.map((line) => `${line.map(csvField).join(",")}\r\n`).join(""), rows.length);
}

// Saves rows, or those that the function `rows` returns. Without a text, the button is only an icon.
export const csvButton = (name, columns, rows, text = "Export CSV") =>
  button(text, {
    kind: text ? "" : "icon-only tiny",
    icon: "csv",
    label: text ? null : `Export ${name} as CSV`,
    onclick: () => saveRows(name, columns, typeof rows === "function" ? rows() : rows),
  });

// A button that saves all pages of a CSV of the API. `page(cursor)` returns {text, cursor}.
export function csvOfPages(name, page) {
  const element = button("Export CSV", {
    icon: "csv",
    onclick: async () => {
      const label = element.querySelector("span"),
        before = label.textContent,
        texts = [];
      element.disabled = true;
      try {
        let rows = 0;
        for (let cursor = ""; cursor !== null;) {
          const found = await page(cursor);
          texts.push(texts.length ? found.text.slice(found.text.indexOf("\n") + 1) : found.text);
          const unquoted = found.text.replace(/"[^"]*"/g, ""); // a quoted value may have line breaks
          rows += unquoted.split("\n").length - 2; // without the heading and the empty text after the last line
          cursor = found.cursor || null;
          if (cursor) label.textContent = `${count(rows)} rows…`;
          if (!element.isConnected) return;
        }
        save(name, texts.join(""), rows);
      } catch (error) {
        toast(`The export stopped: ${error.message}`);
      } finally {
        label.textContent = before;
        element.disabled = false;
      }
    },
  });
  return element;
}
