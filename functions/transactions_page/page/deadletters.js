// Accepted events that could not be applied: their content, the cause, replaying and discarding.

import { h } from "/page/dom.js";
import { count, date, money, plural, prettyMember } from "/page/format.js";
import { call, encode, get, look, query, textOf } from "/page/api.js";
import { showDeadLetters } from "/page/frame.js";
import { ask, badge, button, copyable, empty, facts, failed, heading, skeleton, snippet, toast, when } from "/page/ui.js";
import { csvButton } from "/page/table.js";
import { ACTIONS, SOURCES, explainLetter, providerName } from "/page/words.js";
import { orderAddress } from "/page/links.js";

const PAGE = 50;
const CSV_COLUMNS = [
  "id",
  "failed_at",
  "order_id",
  "provider",
  "action",
  "reason",
  "amount",
  "refund_amount",
  "currency",
  "attempts",
].map((name) => ({ name, csv: (letter) => letter[name] }));
const NAMES = {
  placed: "New order",
  refunded: "Refund of",
  canceled: "Cancellation of",
  paid: "Payment of",
  fulfilled: "Fulfillment of",
  updated: "Update of",
};
const nameOf = (letter) => `${NAMES[letter.action] ?? ACTIONS[letter.action] ?? "Event of"} ${letter.order_id ?? "an unknown order"}`;

// The effect on lifetime value if the event alone shows it, otherwise null.
function effectOf(letter) {
  if (letter.refund_amount && letter.currency) return money(`-${letter.refund_amount}`, letter.currency);
  return letter.amount && letter.currency && letter.action === "placed" ? money(letter.amount, letter.currency, { sign: true }) : null;
}

export async function deadletters(main, parameters, { alive, watch }) {
  let letters = [],
    cursor = null,
    selectedId = parameters.get("id"),
    loads = 0;
  const list = h("div", { class: "letters" }),
    detail = h("div", { class: "letter-detail" }),
    box = h("div", {}, skeleton("the dead letters", 6)),
    actions = h("div", { class: "actions" });
  main.append(
    heading("Dead letters", {
      sub: "Accepted events that could not be applied. They are kept until you replay or discard them; a replayed event counts once.",
      actions,
    }),
    box,
  );

  async function load(more) {
    const thisLoad = (loads += 1),
      page = await get(query("/v1/deadletters", { limit: PAGE, payload: "false", cursor: more ? cursor : null }));
    if (!alive() || thisLoad !== loads) return;
    letters = more ? [...letters, ...page.deadletters] : page.deadletters;
    cursor = page.next_cursor;
    draw();
    showDeadLetters({ count: letters.length, more: cursor !== null });
  }

  function draw() {
    actions.replaceChildren(
      ...(letters.length
        ? [
            csvButton("dead-letters.csv", CSV_COLUMNS, () => letters),
            button(cursor ? "Replay all…" : `Replay ${letters.length === 1 ? "it" : `all ${count(letters.length)}`}…`, {
              kind: "primary",
              icon: "replay",
              onclick: replayAll,
            }),
          ]
        : []),
    );
    if (!letters.length) {
      box.replaceChildren(
        h(
          "div",
          { class: "card" },
          empty(
            "No dead letters",
            "Everything that was accepted has been applied or is on its way.",
            h("a", { class: "btn", href: "#/requests" }, "Open the request log"),
          ),
        ),
      );
      return;
    }
    if (!letters.some((letter) => letter.id === selectedId)) selectedId = letters[0].id;
    list.replaceChildren(
      ...letters.map(entry),
      ...(cursor ? [button("Show more", { kind: "small", onclick: () => load(true).catch((error) => toast(error.message)) })] : []),
    );
    if (!list.isConnected) box.replaceChildren(h("div", { class: "letters-grid" }, list, detail));
    show();
  }

  const entry = (letter) =>
    h(
      "button",
      {
        type: "button",
        class: "letter",
        "aria-pressed": String(letter.id === selectedId),
        onclick: () => {
          selectedId = letter.id;
          history.replaceState(null, "", query("#/deadletters", { id: selectedId }));
          for (const other of list.children) other.setAttribute("aria-pressed", String(other.dataset.id === selectedId));
          show();
          if (innerWidth <= 1000) detail.scrollIntoView();
        },
        "data-id": letter.id,
      },
      h("span", { class: "letter-top" }, h("strong", {}, nameOf(letter)), effectOf(letter) && h("span", {}, effectOf(letter))),
      h("span", { class: "soft" }, `${explainLetter(letter).title} · ${date(letter.failed_at)}`),
    );

  // Shows the selected dead letter. Its payload is read now, since the list has none.
  async function show() {
    const known = letters.find((letter) => letter.id === selectedId);
    if (detail.dataset.id === selectedId) return;
    detail.dataset.id = selectedId;
    const payload = h("div", {}, skeleton("the payload", 6));
    detail.replaceChildren(cardOf(known, payload, afterRemoval));
    try {
      const letter = await get(`/v1/deadletters/${encode(known.id)}`);
      if (!alive() || detail.dataset.id !== known.id) return;
      payload.replaceChildren(
        letter.payload
          ? snippet(prettyMember(textOf(letter), "payload"), "the payload")
          : h(
              "p",
              { class: "hint" },
              "The Orders API stored the order before this failed. The stored order is the payload. ",
              h("a", { href: orderAddress(letter) }, "Open the order"),
            ),
      );
    } catch (error) {
      payload.replaceChildren(failed(error));
    }
  }

  async function afterRemoval(text) {
    toast(text);
    detail.dataset.id = "";
    await load();
  }

  function replayAll() {
    ask({
      title: `Replay ${cursor ? "all events" : plural(letters.length, "event")}?`,
      confirm: "Replay",
      text: "They go back into the queue and count once each. Events that still cannot be applied return here after some minutes.",
      run: async () => {
        let replayed = 0;
        for (let next = ""; next !== null;) {
          const answer = await call("POST", query("/v1/deadletters/all/replay", { cursor: next }));
          replayed += answer.replayed;
          next = answer.next_cursor ?? null;
        }
        await afterRemoval(`Replayed ${plural(replayed, "event")}. They are back in the queue.`);
      },
    });
  }

  await load();
  watch(async () => {
    const page = await look(query("/v1/deadletters", { limit: PAGE, payload: "false" }));
    if (
      alive() &&
      letters.length <= PAGE &&
      page.deadletters.map((letter) => letter.id).join() !== letters.map((letter) => letter.id).join()
    )
      await load();
  });
}

function cardOf(letter, payload, afterRemoval) {
  const { title, advice } = explainLetter(letter),
    path = `/v1/deadletters/${encode(letter.id)}`,
    effect = effectOf(letter);
  const replay = button("Replay", {
    kind: "primary",
    icon: "replay",
    onclick: async () => {
      replay.disabled = true;
      try {
        await call("POST", `${path}/replay`);
        await afterRemoval(`Replayed ${letter.order_id ?? "the event"}. It is back in the queue.`);
      } catch (error) {
        toast(error.message);
        replay.disabled = false;
      }
    },
  });
  const discard = button("Discard…", {
    kind: "danger-quiet",
    onclick: () =>
      ask({
        title: `Discard ${nameOf(letter)}?`,
        kind: "danger",
        confirm: "Discard",
        text: "The event is deleted and never counts. This cannot be undone.",
        field: { label: "Reason", placeholder: "For example: a test order", hint: "Kept with the request, so that others can see why." },
        run: async (reason) => {
          await call("DELETE", path, { reason });
          await afterRemoval(`Discarded ${letter.order_id ?? "the event"}.`);
        },
      }),
  });
  return h(
    "section",
    { class: "card", "aria-labelledby": "letter-title" },
    h("header", {}, h("h2", { id: "letter-title" }, nameOf(letter)), h("div", { class: "aside" }, badge(title, "warn"))),
    h(
      "div",
      { class: "why-box" },
      h("p", {}, h("strong", {}, "What happened: "), letter.reason),
      h("p", {}, h("strong", {}, "What to do: "), advice),
    ),
    facts(
      [
        ["Failed", when(letter.failed_at)],
        ["Attempts", letter.attempts > 0 && `Gave up after ${letter.attempts}`],
        ["Source", letter.provider ? `${providerName(letter.provider)}, ${SOURCES.shopper_activity}` : SOURCES[letter.source]],
        ["Action", ACTIONS[letter.action]],
        ["Order", letter.order_id && h("a", { href: orderAddress(letter) }, letter.order_id)],
        ["Effect if replayed", effect && h("strong", {}, effect)],
        ["Request ID", copyable(letter.id, "the request ID", `${letter.id.slice(0, 13)}…`)],
      ],
      "two-up",
    ),
    h("h3", {}, "Payload"),
    payload,
    h("div", { class: "actions" }, replay, discard),
  );
}
