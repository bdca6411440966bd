// Texts about orders and requests: states, sources, and explanations of outcomes.

export const SOURCES = { orders_api: "Orders API", shopper_activity: "Shopper Activity" };

// The name and colour of each state of an order, by the action of its latest event.
export const STATUSES = {
  submitted: ["Submitted", "good"],
  edited: ["Edited", "good"],
  placed: ["Placed", "info"],
  updated: ["Updated", "info"],
  paid: ["Paid", "info"],
  fulfilled: ["Fulfilled", "good"],
  refunded: ["Refunded", "quiet"],
  canceled: ["Canceled", "quiet"],
  voided: ["Voided", "quiet"],
  deleted: ["Deleted", "quiet"],
};
// The name and colour of each outcome of a request.
export const RESULTS = {
  applied: ["Applied", "good"],
  duplicate: ["Duplicate", "quiet"],
  rejected: ["Rejected", "bad"],
  failed: ["Failed", "bad"],
  queued: ["Queued", "info"],
};
// The action of a request or an event, in lists.
export const ACTIONS = {
  placed: "Placed",
  updated: "Updated",
  paid: "Paid",
  fulfilled: "Fulfilled",
  refunded: "Refunded",
  canceled: "Canceled",
  submitted: "Submitted",
  edited: "Edited",
  deleted: "Deleted",
  voided: "Voided",
};
// The same on the page of an order.
export const EVENTS = {
  placed: "Order placed",
  updated: "Order updated",
  paid: "Payment received",
  fulfilled: "Fulfilled",
  refunded: "Refunded",
  canceled: "Canceled",
  submitted: "Order submitted",
  edited: "Order edited",
  deleted: "Order deleted",
  voided: "Voided",
};

// "my_shop" as "My shop", "woocommerce" as "WooCommerce"; an order without a provider is of the Orders API.
const NAMES = { woocommerce: "WooCommerce", square_pos: "Square POS", shopify: "Shopify", amazon: "Amazon", bigcommerce: "BigCommerce" };
export function providerName(provider) {
  if (!provider) return SOURCES.orders_api;
  const text = provider.replaceAll("_", " ");
  return NAMES[provider] ?? text[0].toUpperCase() + text.slice(1);
}

// "Refunded" would be wrong for an order that was refunded in part.
export function statusOf({ status, refunds = "0", net = "0", total = null }) {
  const part = status === "refunded" && Number(refunds) > 0 && Number(net) > 0 && total !== null;
  return part ? ["Partly refunded", "warn"] : (STATUSES[status] ?? [status ?? "Unknown", "quiet"]);
}

// [pattern of a note, its explanation]. Other notes are shown as sentences.
const NOTES = [
  [
    /^(.*) is not a known field$/,
    (found) => `The field ${found[1]} has no meaning here, so it was not kept. Is it a typing mistake?`,
  ],
  [/^voided$/, () => "The shop says that this order does not count: it was trashed or deleted, or its payment is pending or failed."],
  [/refunded_more_than_total/, () => "More was refunded than the order's total, so it lowers the customer's lifetime value."],
  [/rounded/, (found) => `${found.input}.`],
];

export function explainNote(note) {
  for (const [pattern, words] of NOTES) {
    const found = pattern.exec(note);
    if (found) return words(found);
  }
  return sentence(note);
}

// {title, kind, icon, lines} of a request `t`. The lines explain the outcome, then what to do.
export function explain(t) {
  return (
    { applied, duplicate, rejected, failed }[t.status]?.(t) ?? {
      title: "Queued",
      kind: "quiet",
      icon: "clock",
      lines: [
        "It was accepted and is on its way. Events are applied within a second as a rule.",
        "If it stays queued, look at Dead letters in a few minutes.",
      ],
    }
  );
}

function applied(t) {
  const lines = t.effects.length ? [] : ["It changed no amount: lifetime value is what it was before."];
  return { title: "Applied", kind: t.notes.length ? "warn" : "good", icon: "check", lines: [...lines, ...t.notes.map(explainNote)] };
}

function duplicate(t) {
  const lines =
    t.source === "orders_api"
      ? [
          "It repeats a submission, or is an edit to values that the order already has, so nothing changed. This is normal when a shop retries.",
          "To change the order, edit it: POST /v1/order/{order_id}. To count a second order, send it with its own order_id.",
        ]
      : [
          "The same event was already applied, so nothing changed. This is normal when a shop retries.",
          "If it was meant as a second event, send it with its own occurred_at or its own Idempotency-Key.",
        ];
  return { title: "Duplicate, ignored", kind: "quiet", icon: "copy", lines };
}

function rejected(t) {
  const reason = t.reason ?? "",
    sent = "The sender got an error that says so. Only this line of the log is kept.";
  let todo = "Correct the request, then send it again.";
  if (/other content|conflict/i.test(reason))
    todo = "An order with this order_id exists with other content. To change it, edit it: POST /v1/order/{order_id}.";
  else if (/valid JSON|UTF-8|gzip|nested/.test(reason))
    todo = "The body could not be read. Check how the sender writes its JSON, and whether it sends what Content-Encoding says.";
  else if (/at most .* of JSON/.test(reason)) todo = "The body is too large. Send fewer orders in a batch, or less in an order.";
  else if (/Content-Type|Content-Encoding/.test(reason)) todo = "Send it as application/json, plain or gzip.";
  else if (t.fields?.length) todo = `Correct ${t.fields.join(", ")}, then send it again.`;
  return { title: "Rejected", kind: "bad", icon: "close", lines: [sentence(reason), sent, todo].filter(Boolean) };
}

function failed(t) {
  const reason = t.reason ?? "";
  if (reason.startsWith("idempotency_key_reused")) {
    return {
      title: "Not counted",
      kind: "bad",
      icon: "deadletters",
      lines: [
        "Another event was applied first with the same Idempotency-Key.",
        "Send this one again with a key of its own: one key for one event.",
      ],
    };
  }
  if (reason.startsWith("purged")) {
    return {
      title: "Dropped by a purge",
      kind: "warn",
      icon: "trash",
      lines: [
        "It was received before a purge and was still queued then.",
        "If it should count, send it again: what is received after a purge is new.",
      ],
    };
  }
  if (reason.startsWith("erased")) {
    return {
      title: "Erased",
      kind: "warn",
      icon: "trash",
      lines: [
        "It was received before its customer was erased, or it repeats an event that was erased.",
        "A new event makes the customer known again.",
      ],
    };
  }
  if (reason.startsWith("order_full")) {
    return {
      title: "Not counted: the order is full",
      kind: "bad",
      icon: "deadletters",
      lines: [
        "An order takes up to 1,000 events or 4 MB. Further events are not applied.",
        "Check whether the shop sends the same order again and again.",
      ],
    };
  }
  if (reason.includes("discarded:")) {
    return { title: "Discarded by hand", kind: "quiet", icon: "trash", lines: [sentence(reason), "Send it again if it should count."] };
  }
  return {
    title: "Failed",
    kind: "bad",
    icon: "deadletters",
    lines: [
      `${explainLetter(t).title}: ${reason || "no reason is known"}.`,
      "The whole event is kept under Dead letters. Fix the cause, then replay it there: it counts once.",
    ],
  };
}

// Whether a failed request may be a dead letter. One that failed for these reasons never is.
const isDeadLetter = (t) => !/^(idempotency_key_reused|purged|erased|order_full)|discarded:/.test(t.reason ?? "");

// A text as a sentence. If it begins with a name that has an underscore (order_id), that keeps its lower case.
const sentence = (text) =>
  text ? `${/^\S*_/.test(text) ? text[0] : text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}` : "";

// The reason in one line, for the list.
export function shortReason(t) {
  if (t.status === "applied") return t.notes.map(explainNote).join(" ");
  if (t.status === "duplicate") return "Nothing new, so nothing changed";
  if (t.status === "failed" && isDeadLetter(t)) return `${explainLetter(t).title}. Kept under Dead letters.`;
  return sentence(t.reason ?? explain(t).lines[0]);
}

// The cause of a dead letter, and what to do: {title, advice}.
export function explainLetter(letter) {
  const reason = letter.reason ?? "";
  if (/Throttl|Throughput|RequestLimit|busy/i.test(reason))
    return { title: "The database was too busy", advice: "The rush has passed. Replay it: it counts once." };
  if (/AccessDenied|permission/i.test(reason))
    return { title: "A permission is missing", advice: "Ask whoever runs Tillbook to look at the function's permissions, then replay it." };
  if (/timed? ?out|Timeout|EndpointConnection|crash/i.test(reason))
    return {
      title: "It took too long",
      advice: "This is most often temporary. Replay it: it counts once. If it fails again, ask whoever runs Tillbook.",
    };
  return {
    title: "It could not be applied",
    advice:
      "Replay it: it counts once, even if it was applied meanwhile. If it fails again, ask whoever runs Tillbook to fix the cause first.",
  };
}
