// Shops whose platform sends webhooks to Tillbook: connecting one, testing its deliveries, changing its secret,
// disconnecting it.

import { h } from "/page/dom.js";
import { ago, clock, date } from "/page/format.js";
import { call, encode, get, look, query } from "/page/api.js";
import {
  ask,
  badge,
  button,
  copyable,
  empty,
  facts,
  failed,
  heading,
  menu,
  notice,
  options,
  skeleton,
  soft,
  toast,
  under,
  when,
} from "/page/ui.js";
import { csvButton } from "/page/table.js";
import { providerName } from "/page/words.js";

const PLATFORMS = { shopify: "Shopify", woocommerce: "WooCommerce" };
const CHECKS = { ok: ["Receiving orders", "good"], waiting: ["Waiting for the first order", "info"], problem: ["Needs attention", "bad"] };
const RESULT = { accepted: "Accepted", ignored: "Ignored", rejected: "Rejected" };
const CSV_COLUMNS = ["name", "platform", "provider", "url", "created_at"].map((name) => ({ name, csv: (one) => one[name] }));

export async function connections(main, _parameters, { alive, watch }) {
  const box = h("div", {}, skeleton("the connections", 4)),
    actions = h("div", { class: "actions" });
  main.append(
    heading("Connections", {
      sub: "Shops whose platform sends every order here. For your own system, use the APIs with an ingest key instead.",
      actions,
    }),
    box,
  );
  let shown = [];
  const load = async (page) => {
    shown = page.connections;
    actions.replaceChildren(
      ...(shown.length ? [csvButton("connections.csv", CSV_COLUMNS, () => shown)] : []),
      button("Connect a shop", { kind: "primary", icon: "plus", onclick: () => create(reload) }),
    );
    box.replaceChildren(
      shown.length
        ? h(
            "div",
            { class: "pair" },
            shown.map((one) => cardOf(one, reload)),
          )
        : h(
            "div",
            { class: "card" },
            empty(
              "No shop is connected",
              "Connect a Shopify or WooCommerce shop: Tillbook then receives its orders, payments, refunds and cancellations as they happen.",
              button("Connect a shop", { kind: "primary", icon: "plus", onclick: () => create(reload) }),
            ),
          ),
    );
  };
  const reload = async () => {
    const page = await get("/v1/connections");
    if (alive()) await load(page);
  };
  await reload();
  let polled = null;
  // Redraws when the answer has changed. While a dialog or a menu is open, it waits for the next poll.
  watch(async () => {
    const page = await look("/v1/connections");
    if (!alive() || (polled && page !== polled && document.querySelector("dialog, :popover-open"))) return;
    if (polled && page !== polled) await load(page);
    polled = page;
  });
}

function cardOf(one, reload) {
  const [text, kind] = CHECKS[one.check.status],
    path = `/v1/connections/${encode(one.name)}`,
    result = h("div", { role: "status" });
  const test = button("Test", {
    icon: "check",
    onclick: async () => {
      test.disabled = true;
      try {
        const current = await get(path);
        const [name, level] = CHECKS[current.check.status];
        result.replaceChildren(
          notice(
            level === "info" ? "quiet" : level,
            { ok: "check", waiting: "clock", problem: "deadletters" }[current.check.status],
            `${name}, as of ${clock(new Date().toISOString(), true)}`,
            [
              current.check.message,
              current.check.status === "waiting" &&
                `Place a test order in the shop, or have ${PLATFORMS[one.platform]} send a test, then test again.`,
            ],
          ),
        );
      } catch (error) {
        result.replaceChildren(failed(error));
      }
      test.disabled = false;
    },
  });
  const more = menu(
    button("", { kind: "icon-only", icon: "more", label: `More actions for ${one.name}` }),
    (close) =>
      options(close, [
        ["Change the secret…", () => rotate(one, reload)],
        ["Disconnect…", () => remove(one, reload), "", false, "bad"],
      ]),
    { label: `More actions for ${one.name}` },
  );
  return h(
    "section",
    { class: "card", "aria-label": one.name },
    h(
      "header",
      {},
      h("h2", {}, one.name),
      h("p", { class: "hint" }, PLATFORMS[one.platform] ?? one.platform),
      h("div", { class: "aside" }, badge(text, kind)),
    ),
    one.check.status === "problem" && h("p", { class: "error" }, one.check.message),
    h("p", { class: "address" }, soft("Address for the shop"), copyable(one.url, "the address")),
    facts([
      ["Orders appear as", providerName(one.provider)],
      ["Last delivery", lastOf(one.last_delivery)],
      ["Wrong signature", one.last_refused_at && [ago(one.last_refused_at), under("The shop signs with another secret than this one.")]],
      ["Both secrets valid until", one.both_valid_until && when(one.both_valid_until)],
      ["Connected", date(one.created_at)],
    ]),
    result,
    h("div", { class: "actions" }, test, more),
  );
}

function lastOf(delivery) {
  if (!delivery) return "None yet";
  const state = delivery.outcome?.status ?? delivery.result,
    words =
      { applied: "Applied", duplicate: "Duplicate, ignored", failed: "Failed", rejected: "Rejected", queued: "On its way" }[state] ??
      RESULT[delivery.result];
  return [
    delivery.request_id
      ? h("a", { href: query("#/requests", { request: delivery.request_id }) }, ago(delivery.received_at))
      : ago(delivery.received_at),
    under(`${words}${delivery.reason ? `: ${delivery.reason}` : ""}`),
  ];
}

// Forms ---------------------------------------------------

const field = (id, label, input, hint) =>
  h("div", { class: "field" }, h("label", { for: id }, label), input, hint && h("p", { class: "hint" }, hint));

function create(reload) {
  const platform = h(
    "fieldset",
    { class: "radios" },
    h("legend", {}, "Platform"),
    Object.entries(PLATFORMS).map(([value, text], i) =>
      h(
        "label",
        { class: "radio" },
        h("input", { type: "radio", name: "platform", value, checked: i === 0, onchange: () => draw() }),
        h("span", {}, h("strong", {}, text)),
      ),
    ),
  );
  const name = h("input", { id: "c-name", maxlength: "60", placeholder: "shopify", autocomplete: "off" });
  const secret = h("input", { id: "c-secret", type: "password", autocomplete: "off", spellcheck: "false" });
  const secretField = field(
    "c-secret",
    "Signing secret of the shop",
    secret,
    "In Shopify: Settings, Notifications, Webhooks. It is shown at the bottom, after “Your webhooks will be signed with”.",
  );
  const chosen = () => platform.querySelector(":checked").value;
  const draw = () => {
    secretField.hidden = chosen() !== "shopify";
    name.placeholder = chosen();
  };
  draw();
  ask({
    title: "Connect a shop",
    confirm: "Connect",
    wide: true,
    body: h(
      "div",
      {},
      platform,
      field("c-name", "Name (optional)", name, "Lower-case letters, digits and underscores. It becomes part of the address."),
      secretField,
    ),
    run: async () => {
      const body = {
        platform: chosen(),
        ...(name.value.trim() && { name: name.value.trim(), provider: name.value.trim() }),
        ...(chosen() === "shopify" && { secret: secret.value.trim() }),
      };
      const created = await call("POST", "/v1/connections", body);
      await reload();
      setTimeout(() => showOnce(created, "Shop connected"));
    },
  });
}

// Shows the values to enter in the shop. The API returns a secret only once.
function showOnce(connection, title) {
  ask({
    title: `${title}: ${connection.name}`,
    confirm: "I have saved it",
    cancel: null,
    wide: true,
    body: h(
      "div",
      {},
      h("p", {}, connection.secret ? "Copy the secret now. This is the only time it is shown." : "Enter this address in the shop:"),
      facts(
        [
          ["Address", copyable(connection.url, "the address")],
          ["Secret", connection.secret && copyable(connection.secret, "the secret")],
        ],
        "stacked",
      ),
      connection.setup && [h("p", {}, h("strong", {}, "In the shop")), h("p", { class: "pre" }, connection.setup)],
    ),
  });
}

function rotate(one, reload) {
  const shopify = one.platform === "shopify",
    secret = h("input", { id: "c-secret", type: "password", autocomplete: "off", required: shopify });
  const hours = h("input", { id: "c-hours", type: "number", min: "0", max: "8760", value: "24" });
  ask({
    title: `Change the secret of ${one.name}`,
    confirm: "Change secret",
    text: shopify ? "Enter the new signing secret of the shop." : "Tillbook makes a new secret, which you then enter in the shop.",
    body: h(
      "div",
      {},
      shopify && field("c-secret", "New signing secret", secret),
      field("c-hours", "Keep the old secret valid for (hours)", hours, "So that nothing is lost until the shop uses the new one."),
    ),
    run: async () => {
      const connection = await call("POST", `/v1/connections/${encode(one.name)}/rotate`, {
        overlap_hours: Number(hours.value),
        ...(shopify && { secret: secret.value.trim() }),
      });
      await reload();
      setTimeout(() => showOnce(connection, "Secret changed"));
    },
  });
}

function remove(one, reload) {
  ask({
    title: `Disconnect ${one.name}?`,
    kind: "danger",
    confirm: "Disconnect",
    text: [
      "Deliveries of this shop are refused from now on (401). Orders that were received stay.",
      "Remove the webhooks in the shop, too: otherwise it keeps sending.",
    ],
    run: async () => {
      await call("DELETE", `/v1/connections/${encode(one.name)}`);
      toast(`Disconnected ${one.name}.`);
      await reload();
    },
  });
}
