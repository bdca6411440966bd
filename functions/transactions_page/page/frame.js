// The frame around every view: navigation, search, time zone, account menu. Views are drawn into #main.

import { h, hidden, icon } from "/page/dom.js";
import { zoneNote } from "/page/format.js";
import { session } from "/page/api.js";
import { button, menu } from "/page/ui.js";

const MAIN = [
  ["overview", "Overview"],
  ["orders", "Orders"],
  ["customers", "Customers"],
  ["audiences", "Audiences"],
];
const HEALTH = [
  ["requests", "Requests"],
  ["deadletters", "Dead letters"],
];
const SETUP = [
  ["connections", "Connections"],
  ["settings", "Settings"],
];

// Stores a theme if one is given, and applies the stored one. Returns its name.
export function theme(name) {
  if (name === "auto") localStorage.removeItem("theme");
  else if (name) localStorage.setItem("theme", name);
  const current = localStorage.getItem("theme") ?? "auto";
  document.documentElement.dataset.theme = current;
  return current;
}

const badgeOf = (section) => (section === "deadletters" ? h("span", { class: "count", hidden: true }) : null);
const item = ([section, text]) =>
  h(
    "a",
    { href: `#/${section === "overview" ? "" : section}`, "data-section": section },
    icon(section),
    h("span", {}, text),
    badgeOf(section),
  );

// Shows the number of dead letters in each navigation bar.
export function showDeadLetters({ count, more }) {
  for (const box of document.querySelectorAll(".count")) {
    box.hidden = count === 0;
    box.replaceChildren(`${count}${more ? "+" : ""}`, hidden(" waiting"));
  }
}

// `find` is called with the searched text and its input; `leave` signs out.
export function frame(app, find, leave) {
  const input = h("input", {
    id: "query",
    type: "search",
    autocomplete: "off",
    spellcheck: "false",
    maxlength: "300",
    placeholder: "Order number, customer email or ID",
    "aria-label": "Search by order number, customer email or ID",
    "aria-keyshortcuts": "/",
  });
  const search = h(
    "form",
    {
      id: "search",
      class: "search",
      role: "search",
      onsubmit: (event) => {
        event.preventDefault();
        if (input.value.trim()) find(input.value.trim(), input);
      },
    },
    icon("search"),
    input,
    h("kbd", { "aria-hidden": "true" }, "/"),
    h("button", { type: "submit", class: "hidden", tabindex: "-1" }, "Search"),
  );
  // On a phone the navigation is a bar with the first three views; the menu "More" has the others.
  const more = menu(
    h("button", { type: "button", "data-section": "more" }, icon("more"), h("span", {}, "More"), badgeOf("deadletters")),
    (close) => h("div", { class: "sheetnav", onclick: close }, [...MAIN.slice(3), ...HEALTH, ...SETUP].map(item)),
    { kind: "sheet", label: "More" },
  );
  app.replaceChildren(
    h(
      "div",
      { class: "frame" },
      h(
        "div",
        { class: "side" },
        h(
          "nav",
          { id: "nav", "aria-label": "Main" },
          brand(),
          MAIN.map(item),
          h("p", { class: "group" }, "Data health"),
          HEALTH.map(item),
          h("p", { class: "group" }, "Setup"),
          SETUP.map(item),
        ),
      ),
      h(
        "header",
        { class: "top" },
        brand("small"),
        search,
        h("a", {
          class: "zone",
          href: "#/settings",
          id: "zone",
          title: "Every date and time on these pages is in this zone. Change it in Settings.",
        }),
        accountMenu(leave),
      ),
      h("main", { id: "main", tabindex: "-1" }),
      h("footer", { class: "foot", id: "foot" }),
      h("nav", { class: "tabs", "aria-label": "Main, short" }, MAIN.slice(0, 3).map(item), more),
    ),
  );
  showAccount();
}

const brand = (kind = "") =>
  h(
    "a",
    { class: `brand ${kind}`, href: "#/", "aria-label": "Tillbook: Overview" },
    h("img", { src: "/page/icon.svg", alt: "", width: "26", height: "26" }),
    h("span", {}, "Tillbook"),
  );

function accountMenu(leave) {
  const trigger = h("button", { type: "button", class: "account", id: "account" });
  return menu(
    trigger,
    (close) => {
      const account = session.account;
      return [
        h("p", { class: "panel-title" }, "Signed in with the key ", h("strong", {}, account.key.label ?? account.key.id)),
        h(
          "fieldset",
          { class: "segmented" },
          h("legend", {}, "Appearance"),
          [
            ["auto", "System"],
            ["light", "Light"],
            ["dark", "Dark"],
          ].map(([name, text]) =>
            h(
              "label",
              {},
              h("input", { type: "radio", name: "theme", value: name, checked: theme() === name, onchange: () => theme(name) }),
              h("span", {}, text),
            ),
          ),
        ),
        h(
          "ul",
          { class: "options" },
          h("li", {}, h("a", { href: "#/settings", onclick: close }, icon("settings"), h("span", {}, "Settings"))),
          h(
            "li",
            {},
            h(
              "button",
              {
                type: "button",
                id: "leave",
                onclick: () => {
                  close();
                  leave();
                },
              },
              icon("signout"),
              h("span", {}, "Sign out"),
            ),
          ),
        ),
      ];
    },
    { label: "Account" },
  );
}

// Shows the account's name and time zone. Called again after they change.
export function showAccount() {
  const account = session.account,
    name = account.name ?? `Account ${account.account_id}`;
  const letters = account.name
    ? account.name
        .split(/\s+/)
        .filter((word) => /^[\p{L}\p{N}]/u.test(word))
        .slice(0, 2)
        .map((word) => [...word][0].toUpperCase())
        .join("")
    : "#";
  const trigger = document.getElementById("account");
  trigger.replaceChildren(
    hidden("Account menu: "),
    h("span", { class: "avatar", "aria-hidden": "true" }, letters || "#"),
    h("span", { class: "who" }, h("strong", {}, name), account.name && h("span", {}, `Account ${account.account_id}`)),
    icon("down"),
  );
  document.getElementById("zone").replaceChildren(icon("clock"), zoneNote());
  document.getElementById("foot").textContent = `All dates and times are in ${zoneNote()}.`;
}

export function markSection(section) {
  for (const link of document.querySelectorAll("[data-section]")) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

// Sign in -------------------------------------------------

// The form to sign in. `enter` is called with the key; the message of its error is shown.
export function signInForm(app, message, enter) {
  const key = h("input", {
    id: "key",
    type: "password",
    autocomplete: "off",
    spellcheck: "false",
    required: true,
    "aria-describedby": "refused",
  });
  const errorBox = h("p", { id: "refused", class: "error", role: "alert", hidden: !message }, message);
  const show = button("Show", {
    kind: "ghost small",
    "aria-pressed": "false",
    onclick: () => {
      const open = key.type === "password";
      key.type = open ? "text" : "password";
      show.firstChild.textContent = open ? "Hide" : "Show";
      show.setAttribute("aria-pressed", String(open));
    },
  });
  const go = h("button", { type: "submit", class: "btn primary full" }, "Sign in");
  const showError = (text) => {
    errorBox.textContent = text;
    errorBox.hidden = false;
    key.setAttribute("aria-invalid", "true");
    key.focus();
  };
  app.replaceChildren(
    h(
      "main",
      { id: "main", class: "door", tabindex: "-1" },
      h(
        "form",
        {
          id: "signin",
          class: "card doorcard",
          onsubmit: async (event) => {
            event.preventDefault();
            const value = key.value.trim();
            if (!/^[\x21-\x7e]+$/.test(value)) return showError("This key is not valid. Check that you copied all of it.");
            go.disabled = true;
            try {
              await enter(value);
            } catch (error) {
              showError(error.message);
              go.disabled = false;
            }
            return undefined;
          },
        },
        h("img", { src: "/page/icon.svg", alt: "", width: "40", height: "40" }),
        h("h1", { tabindex: "-1" }, "Sign in to Tillbook"),
        h("p", { class: "soft" }, "Enter an admin key of your shop’s account."),
        h("div", { class: "field" }, h("label", { for: "key" }, "Admin key"), h("div", { class: "withbutton" }, key, show), errorBox),
        go,
        h("p", { class: "hint" }, "The key stays in this browser tab and is forgotten when you close it."),
        h(
          "details",
          { class: "disclose" },
          h("summary", {}, icon("right"), "Where do I find my key?"),
          h("p", {}, "Ask whoever set up Tillbook, or create one:"),
          h("pre", { class: "json", tabindex: "0" }, "tillbook keys create ACCOUNT_ID --role admin"),
          h("p", {}, "On your own machine, ", h("code", {}, "make run"), " prints one."),
        ),
      ),
    ),
  );
  key.focus();
}
