// The settings of the account: time zone, currency, sources that count, API keys, erasing and purging.

import { h } from "/page/dom.js";
import { currencyName, daysBetween, date, setZone, today, zoneNote } from "/page/format.js";
import { call, encode, get, session } from "/page/api.js";
import { showAccount } from "/page/frame.js";
import { ask, badge, button, copyable, failed, heading, skeleton, soft, toast, under } from "/page/ui.js";
import { csvButton, table } from "/page/table.js";
import { SOURCES } from "/page/words.js";
import { eraseSomebody, purgeDialog, showPurge } from "/page/danger.js";

const ROLES = { ingest: "Ingest", admin: "Admin" };

export async function settings(main, _parameters, { alive }) {
  main.append(heading("Settings"), skeleton("the settings", 8, "tall"));
  const account = await get("/v1/account");
  if (!alive()) return;
  session.account = account;
  const keys = h("div", {}, skeleton("the keys", 4)),
    job = h("div", { class: "progress", role: "status" });
  main.replaceChildren(
    heading("Settings"),
    h(
      "div",
      { class: "settings" },
      section("s-account", "Account", "The shop’s name, time zone and currency.", accountForm(account)),
      section(
        "s-sources",
        "Sources that count",
        "Orders from a source that is off are stored, but add nothing to lifetime value and reports.",
        sourcesOf(account),
      ),
      section("s-keys", "API keys", "One key for each system that sends orders, so that you can revoke it alone.", keys),
      section(
        "s-data",
        "Data kept",
        "How long Tillbook keeps what it receives.",
        h(
          "dl",
          { class: "facts" },
          [
            ["Orders and customers", "Until you purge or erase them"],
            ["Request log", "30 days"],
            ["Dead letters", "Until you replay or discard them"],
            ["Email addresses", "Never stored; hashed on arrival"],
          ].map(([name, text]) => h("div", {}, h("dt", {}, name), h("dd", {}, text))),
        ),
      ),
      section(
        "s-danger",
        "Danger zone",
        "Each action asks for confirmation. None can be undone.",
        dangerRow("Erase a customer", "Deletes one person with all their orders, for privacy requests.", "Erase a customer…", () =>
          eraseSomebody(),
        ),
        dangerRow("Purge orders", "Deletes all orders of a source, for example after a test import.", "Purge orders…", () =>
          purgeDialog(job, alive),
        ),
        job,
      ),
    ),
  );
  showPurge(job, alive);
  await drawKeys(keys, alive);
}

const section = (id, title, text, ...content) =>
  h(
    "section",
    { class: "setting", "aria-labelledby": id },
    h("div", { class: "setting-name" }, h("h2", { id }, title), h("p", { class: "hint" }, text)),
    h("div", { class: `card ${id === "s-danger" ? "danger-zone" : ""}` }, content),
  );
const dangerRow = (title, text, action, run) =>
  h(
    "div",
    { class: "danger-row" },
    h("div", {}, h("strong", {}, title), h("p", { class: "hint" }, text)),
    button(action, { kind: "danger-quiet", onclick: run }),
  );
const field = (id, label, input, hint) =>
  h("div", { class: "field wide" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint" }, hint));

async function saveAccount(changes) {
  const account = await call("PATCH", "/v1/account", changes);
  session.account = account;
  setZone(account.time_zone);
  showAccount();
  return account;
}

function accountForm(account) {
  const zones = Intl.supportedValuesOf("timeZone"),
    now = new Date();
  const known = zones.includes("UTC") ? zones : ["UTC", ...zones];
  const name = h("input", { id: "s-name", maxlength: "100", autocomplete: "off", value: account.name ?? "" });
  const zone = h(
    "select",
    { id: "s-zone" },
    [...new Set([account.time_zone, ...known])].sort().map((value) => h("option", { value, selected: value === account.time_zone }, value)),
  );
  const note = h("p", { class: "hint" }, `Now ${zoneNote(now, account.time_zone)}. Used for every date, chart and daily total.`);
  zone.addEventListener("change", () => {
    note.textContent = `Now ${zoneNote(now, zone.value)}. Used for every date, chart and daily total.`;
  });
  const codes = [...new Set([account.currency, ...Intl.supportedValuesOf("currency")])].sort();
  const currency = h(
    "select",
    { id: "s-currency" },
    codes.map((value) => h("option", { value, selected: value === account.currency }, `${value} · ${currencyName(value)}`)),
  );
  const save = h("button", { type: "submit", class: "btn primary" }, "Save changes"),
    errorBox = h("p", { class: "error", role: "alert", hidden: true });
  return h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        save.disabled = true;
        errorBox.hidden = true;
        try {
          await saveAccount({ name: name.value.trim() || null, time_zone: zone.value, currency: currency.value });
          toast("Saved.");
        } catch (error) {
          errorBox.textContent = error.message;
          errorBox.hidden = false;
        }
        save.disabled = false;
      },
    },
    h(
      "div",
      { class: "formgrid" },
      field("s-name", "Shop name", name),
      field("s-id", "Account ID", h("input", { id: "s-id", value: account.account_id, readonly: true })),
      h("div", { class: "field wide" }, h("label", { for: "s-zone" }, "Time zone"), zone, note),
      field("s-currency", "Default currency", currency, "For orders that are sent without a currency. Existing orders keep theirs."),
    ),
    errorBox,
    h("div", { class: "actions" }, save),
  );
}

function sourcesOf(account) {
  const sourceSwitch = (source, text) => {
    const input = h("input", {
      type: "checkbox",
      role: "switch",
      checked: account.sources.includes(source),
      onchange: () => flip(source, input),
    });
    return h("label", { class: "switch" }, input, h("span", {}, h("strong", {}, SOURCES[source]), under(text)));
  };
  return h(
    "div",
    {},
    h(
      "div",
      { class: "switches" },
      sourceSwitch("shopper_activity", "Connected shops, and events sent to /v3/…/shopper_activity/order"),
      sourceSwitch("orders_api", "Orders sent to /v1/order"),
    ),
    h("p", { class: "hint" }, "If one shop sends the same orders through both, turn one off: otherwise each order counts twice."),
  );
}

function flip(source, input) {
  const on = input.checked,
    sources = Object.keys(SOURCES).filter((name) => (name === source ? on : session.account.sources.includes(name)));
  input.checked = !on; // until the change is confirmed and saved
  if (!sources.length) {
    toast("At least one source has to count.");
    return;
  }
  const run = async () => {
    await saveAccount({ sources });
    input.checked = on;
    toast(`${SOURCES[source]} ${on ? "counts" : "no longer counts"}.`);
  };
  ask({
    title: on ? `Count ${SOURCES[source]}?` : `Stop counting ${SOURCES[source]}?`,
    confirm: on ? "Count" : "Stop counting",
    kind: on ? "primary" : "danger",
    run,
    text: on
      ? "Its stored orders count again in every customer’s lifetime value and in reports."
      : "Its orders stay stored, but leave every customer’s lifetime value and the reports. You can turn this back on at any time.",
  });
}

// Keys ----------------------------------------------------

async function drawKeys(box, alive) {
  let page;
  try {
    page = await get("/v1/keys");
  } catch (error) {
    if (alive()) box.replaceChildren(failed(error, () => drawKeys(box, alive)));
    return;
  }
  if (!alive()) return;
  const reload = () => drawKeys(box, alive),
    valid = page.keys.filter((key) => !key.revoked),
    revoked = page.keys.filter((key) => key.revoked),
    names = new Map(page.keys.map((key) => [key.id, key.label ?? key.id]));
  const columns = [
    {
      key: "label",
      name: "Name",
      cell: (key) => [
        h("strong", {}, key.label ?? `Key ${key.id}`),
        key.current && [" ", badge("This session", "info")],
        under(`Created ${date(key.created_at)}${key.created_by ? ` with ${names.get(key.created_by) ?? key.created_by}` : ""}`),
      ],
      csv: (key) => key.label,
    },
    { key: "role", name: "Role", cell: (key) => ROLES[key.role], csv: (key) => key.role },
    { key: "used", name: "Last used", cell: usedOf, csv: (key) => key.last_used },
    {
      key: "act",
      name: "",
      label: "Actions",
      cell: (key) =>
        key.revoked
          ? soft("Revoked")
          : button("Revoke…", { kind: "small danger-quiet", label: `Revoke ${key.label ?? key.id}`, onclick: () => revoke(key, reload) }),
    },
    { key: "id", name: "ID", kind: "file-only", cell: (key) => key.id, csv: (key) => key.id },
  ];
  box.replaceChildren(
    table({ caption: "API keys", layout: "keys", rows: valid, columns }),
    h(
      "div",
      { class: "actions" },
      button("Create key…", { icon: "plus", onclick: () => create(reload) }),
      csvButton("keys.csv", columns, page.keys),
    ),
    ...(revoked.length
      ? [
          h(
            "details",
            { class: "disclose" },
            h("summary", {}, `${revoked.length} revoked`),
            table({ caption: "Revoked keys", layout: "keys", rows: revoked, columns }),
          ),
        ]
      : []),
  );
}

function usedOf(key) {
  if (!key.last_used) return "Never";
  const days = daysBetween(key.last_used, today());
  return days <= 0
    ? "Today"
    : days === 1
      ? "Yesterday"
      : days > 180
        ? h("span", { class: "warntext" }, date(key.last_used))
        : date(key.last_used);
}

function revoke(key, reload) {
  const name = key.label ?? key.id,
    ownKeyWarning = "You are signed in with this key: you will be signed out. Make sure that you have another admin key.";
  ask({
    title: `Revoke ${name}?`,
    kind: "danger",
    confirm: "Revoke key",
    word: key.current ? "revoke" : undefined,
    text: [
      key.last_used && daysBetween(key.last_used, today()) < 1
        ? "This key was used today. Requests with it will fail within a minute."
        : "Requests with this key will fail within a minute.",
      key.current && ownKeyWarning,
    ].filter(Boolean),
    run: async () => {
      await call("DELETE", `/v1/keys/${encode(key.id)}`, key.current ? { confirm: key.id } : undefined);
      toast(`Revoked ${name}.`);
      await reload();
    },
  });
}

function create(reload) {
  const name = h("input", { id: "key-name", maxlength: "100", placeholder: "my-shop", autocomplete: "off" });
  const role = (value, title, text) =>
    h(
      "label",
      { class: "radio" },
      h("input", { type: "radio", name: "role", value, checked: value === "ingest" }),
      h("span", {}, h("strong", {}, title), under(text)),
    );
  const roles = h(
    "fieldset",
    { class: "radios" },
    h("legend", {}, "Role"),
    role("ingest", "Ingest", "Can send orders. Cannot read anything."),
    role("admin", "Admin", "Can do everything, including reading customers and purging."),
  );
  ask({
    title: "Create an API key",
    confirm: "Create key",
    body: h("div", {}, field("key-name", "Name", name, "Where the key will be used. It is shown with every request it makes."), roles),
    run: async () => {
      const created = await call("POST", "/v1/keys", {
        role: roles.querySelector(":checked").value,
        ...(name.value.trim() && { label: name.value.trim() }),
      });
      await reload();
      // Once this dialog has closed, another one shows the secret.
      setTimeout(() =>
        ask({
          title: `Key created: ${created.label ?? created.id}`,
          confirm: "I have saved it",
          cancel: null,
          text: "Copy the secret now. This is the only time it is shown: Tillbook stores only its hash.",
          body: h("p", { class: "secret" }, copyable(created.secret, "the secret")),
        }),
      );
    },
  });
}
