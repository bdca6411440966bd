// The pieces that views are made of: buttons, cards, menus, dialogs, messages.

import { flatten, h, hidden, icon } from "/page/dom.js";
import { clock, count, date, dayOf, isDate, percent, plural, zoneNote } from "/page/format.js";

export const badge = (text, kind = "quiet") => h("span", { class: `badge ${kind}` }, text);

export const button = (text, { kind = "", icon: name, label, ...attributes } = {}) =>
  h(
    "button",
    { type: "button", class: `btn ${kind}`, "aria-label": label, title: text ? null : label, ...attributes },
    name && icon(name),
    text && h("span", {}, text),
  );

export function card(title, { id, note, aside, kind = "" } = {}, ...children) {
  const head =
    title && h("header", {}, h("h2", { id }, title), note && h("p", { class: "hint" }, note), aside && h("div", { class: "aside" }, aside));
  return h("section", { class: `card ${kind}`, "aria-labelledby": title && id }, head, children);
}

export const facts = (rows, kind = "") =>
  h(
    "dl",
    { class: `facts ${kind}` },
    rows
      .filter((row) => row && row[1] !== null && row[1] !== undefined && row[1] !== false && row[1] !== "")
      .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );

export const under = (...text) => h("span", { class: "under" }, text);
export const soft = (...text) => h("span", { class: "soft" }, text);
export const code = (text) => h("code", {}, text);

export function heading(title, { back, sub, actions, mark } = {}) {
  return h(
    "div",
    { class: "heading" },
    back && h("a", { class: "back", href: back[0] }, icon("left"), back[1]),
    h(
      "div",
      { class: "line" },
      h("div", { class: "titles" }, h("h1", { tabindex: "-1" }, title, mark && [" ", mark]), sub && h("p", { class: "sub" }, sub)),
      actions && h("div", { class: "actions" }, actions),
    ),
  );
}

// A date and time; the tooltip names the account's time zone. `dated`: for an order's moment, which may be a date
// without a time.
export function when(iso, { seconds = false, dated = false } = {}) {
  if (dated && isDate(iso)) return h("time", { datetime: dayOf(iso), title: "A date without a time" }, date(iso));
  const title = `${iso}, shown in ${zoneNote(new Date(iso))}`;
  return h("time", { datetime: iso, title }, h("span", {}, `${date(iso)},`), " ", h("span", {}, clock(iso, seconds)));
}

// The change of a number in percent, for which floating point is exact enough. `good`: 1 if more is better, -1 if less is.
export function change(now, before, { good = 1, than = "the period before" } = {}) {
  const [a, b] = [Number(now), Number(before)];
  if (b === 0) return h("span", { class: "delta flat" }, a === 0 ? "No change" : "New");
  const by = (a - b) / Math.abs(b);
  if (Math.abs(by) < 0.0005) return h("span", { class: "delta flat" }, hidden("No change, "), "0%");
  return h(
    "span",
    { class: `delta ${by > 0 === good > 0 ? "good" : "bad"}` },
    icon(by > 0 ? "up" : "fall"),
    hidden(by > 0 ? "Up " : "Down "),
    percent(Math.abs(by), Math.abs(by) < 10 ? 1 : 0),
    hidden(` compared with ${than}`),
  );
}

// States --------------------------------------------------

export const empty = (title, text, ...actions) =>
  h(
    "div",
    { class: "empty" },
    h("h2", {}, title),
    [text].flat().map((line) => h("p", {}, line)),
    actions,
  );

// Grey shapes as large as the content to come, so that nothing moves when it is shown.
export const skeleton = (what, rows = 8, kind = "") =>
  h(
    "div",
    { class: `skeleton ${kind}`, role: "status" },
    hidden(`Loading ${what}…`),
    Array.from({ length: rows }, () => h("div", { class: "bone", "aria-hidden": "true" })),
  );

export const failed = (error, retry) =>
  h(
    "div",
    { class: "notice bad", role: "alert" },
    icon("deadletters"),
    h("p", {}, error.message),
    retry && button("Try again", { kind: "small", onclick: retry }),
  );

// A message with an icon, a title and one or more lines of text.
export function notice(kind, iconName, title, text, action) {
  return h(
    "div",
    { class: `verdict ${kind}` },
    icon(iconName),
    h(
      "div",
      {},
      h("p", { class: "verdict-title" }, title),
      [text]
        .flat()
        .filter(Boolean)
        .map((line) => h("p", {}, line)),
      action,
    ),
  );
}

export const disclose = (title, ...children) => h("details", { class: "disclose" }, h("summary", {}, icon("right"), title), children);

// Toasts and copying --------------------------------------

export function toast(text) {
  const box = h("div", { class: "toast" }, text);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 5000);
}

export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied ${what}.`);
  } catch {
    // refused, or no clipboard, as over plain HTTP from another machine
    toast("The browser does not allow copying here. Select the text and copy it.");
  }
}
export const copyButton = (text, what) =>
  button("", { kind: "icon-only tiny", icon: "copy", label: `Copy ${what}`, onclick: () => copy(text, what) });
export const copyable = (text, what, shown = text) =>
  h("span", { class: "copyable" }, h("code", { title: text }, shown), copyButton(text, what));
export const snippet = (text, what) =>
  h("div", { class: "snippet" }, h("pre", { class: "json", tabindex: "0", "aria-label": what }, text), copyButton(text, what));

// Panels --------------------------------------------------

let panels = 0; // made so far, for their ids

// A button with a panel under it; on a phone the panel is a sheet at the bottom. `content(close)` returns the panel's
// children; `close()` closes it.
export function menu(trigger, content, { kind = "", label } = {}) {
  const panel = h("div", {
    id: `panel-${(panels += 1)}`,
    popover: "auto",
    class: `panel ${kind}`,
    role: "dialog",
    "aria-label": label ?? trigger.textContent,
  });
  const close = () => panel.matches(":popover-open") && panel.hidePopover();
  trigger.setAttribute("aria-haspopup", "dialog");
  trigger.setAttribute("aria-expanded", "false");
  trigger.addEventListener("click", () => panel.togglePopover({ source: trigger }));
  panel.addEventListener("beforetoggle", (event) => {
    if (event.newState === "open") panel.replaceChildren(...flatten([content(close)]));
  });
  panel.addEventListener("toggle", (event) => {
    const open = event.newState === "open";
    trigger.setAttribute("aria-expanded", String(open));
    if (!open) return;
    if (innerWidth > 760) putAt(panel, trigger.getBoundingClientRect()); // wider than a phone (style.css)
    panel.querySelector("[autofocus], input, button, a")?.focus();
  });
  panel.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const choices = [...panel.querySelectorAll(".options button, .options a, .sheetnav a")],
      at = choices.indexOf(event.target);
    if (!step || at < 0) return;
    event.preventDefault();
    choices[(at + step + choices.length) % choices.length].focus();
  });
  return h("span", { class: "menu" }, trigger, panel);
}

// Puts the panel under the box, or above it if there is no room below.
function putAt(panel, box) {
  const width = panel.offsetWidth,
    height = panel.offsetHeight,
    below = box.bottom + 6;
  panel.style.left = `${Math.max(8, Math.min(box.left, innerWidth - width - 8))}px`;
  panel.style.top = `${below + height > innerHeight ? Math.max(8, box.top - height - 6) : below}px`;
}

// The list of a menu, [[text, action, text beside it, whether it is chosen, class], ...].
export const options = (close, choices) =>
  h(
    "ul",
    { class: "options" },
    choices.map(([text, act, aside, chosen, kind]) =>
      h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: kind,
            "aria-current": chosen ? "true" : null,
            onclick: () => {
              close();
              act();
            },
          },
          h("span", {}, text),
          aside && soft(aside),
        ),
      ),
    ),
  );

// A dialog. `run` is called with the field's text and the dialog; meanwhile the button is disabled. Then the dialog
// closes or, if `run` throws, shows the error's message. `word`: must be typed to confirm. `field`: {label, hint,
// placeholder}.
export function ask({ title, text, body, confirm = "Confirm", cancel = "Cancel", kind = "primary", word, field, run, wide = false }) {
  const input =
    (word || field) &&
    h("input", {
      id: "ask-field",
      autocomplete: "off",
      spellcheck: "false",
      maxlength: "500",
      placeholder: field?.placeholder,
      required: Boolean(field),
    });
  const go = h("button", { type: "submit", class: `btn ${kind}`, disabled: Boolean(word) }, confirm);
  if (word)
    input.addEventListener("input", () => {
      go.disabled = input.value.trim().toLowerCase() !== word;
    });
  const errorBox = h("p", { class: "error", role: "alert", hidden: true });
  const form = h(
    "form",
    {
      method: "dialog",
      onsubmit: async (event) => {
        event.preventDefault();
        go.disabled = true;
        errorBox.hidden = true;
        try {
          await run?.(input?.value.trim(), dialog);
          dialog.close();
        } catch (error) {
          errorBox.textContent = error.message;
          errorBox.hidden = false;
          go.disabled = false;
        }
      },
    },
    h("h2", { id: "ask-title" }, title),
    flatten([text]).map((line) => (typeof line === "string" ? h("p", {}, line) : line)),
    body,
    input &&
      h(
        "div",
        { class: "field" },
        h("label", { for: "ask-field" }, word ? ["Type ", h("strong", {}, word), " to confirm"] : field.label),
        input,
        field?.hint && h("p", { class: "hint" }, field.hint),
      ),
    errorBox,
    h("div", { class: "actions end" }, cancel && button(cancel, { onclick: () => dialog.close() }), go),
  );
  const dialog = h("dialog", { class: `ask ${wide ? "wide" : ""}`, "aria-labelledby": "ask-title" }, form);
  openModal(dialog);
  (input ?? dialog.querySelector("input, select, textarea") ?? go).focus();
  return dialog;
}

// A dialog at the right edge of the window. `closed` is called when it closes.
export function drawer(title, closed, ...children) {
  const close = button("", { kind: "icon-only ghost", icon: "close", label: "Close", onclick: () => dialog.close() });
  const dialog = h(
    "dialog",
    { class: "drawer", "aria-labelledby": "drawer-title" },
    h("div", { class: "drawer-head" }, h("h2", { id: "drawer-title" }, title), close),
    h("div", { class: "drawer-body" }, children),
  );
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("close", () => closed?.());
  openModal(dialog);
  close.focus();
  return dialog;
}

// Opens a dialog, which closes when the view changes. When it closes, the focus returns to the element that had it.
function openModal(dialog) {
  const before = document.activeElement,
    leave = () => dialog.close();
  dialog.addEventListener("close", () => {
    removeEventListener("hashchange", leave);
    dialog.remove();
    if (before?.isConnected) before.focus();
  });
  addEventListener("hashchange", leave);
  document.body.append(dialog);
  dialog.showModal();
}

// The progress of a job of the API, drawn into a box.
export function progress(box, job, what) {
  const done = job.status === "done",
    part = done ? 1 : job.total ? job.done / job.total : null;
  const text =
    { queued: `${what}: waiting to start…`, failed: `${what} failed: ${job.error}`, done: `${what}: done, ${plural(job.done, "record")}.` }[
      job.status
    ] ?? `${what}: ${count(job.done)} of ${count(job.total)}${job.total ? ` (${percent(part)})` : ""}…`;
  const bar = box.querySelector("progress") ?? h("progress", { max: "1", "aria-label": what });
  if (part === null) bar.removeAttribute("value");
  else bar.value = part;
  const line = box.querySelector("p") ?? h("p", {});
  line.textContent = text;
  line.className = job.status === "failed" ? "error" : "hint";
  if (!bar.isConnected) box.replaceChildren(bar, line);
}
