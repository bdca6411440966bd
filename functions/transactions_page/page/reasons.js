// What became of a request, and what to do about it: the page's answer to "why did this order not count?".

const NOTES = [
  [/ is not a known field$/, (note) => `${note.replace(" is not a known field", "")} was accepted but has no meaning here. Is it a typo?`],
  [/rounded/, (note) => `${note}.`],
  [/refunded_more_than_total/, () => "More was refunded than the order's total, so it takes away from the person's LTV."],
];

export function explainNote(note) {
  return NOTES.find(([pattern]) => pattern.test(note))?.[1](note) ?? note;
}

export function warns(t) {
  return t.status === "applied" && t.notes.length > 0;
}

const v1 = (t) => t.source === "orders_api";

// {title, kind: "" | "warn" | "bad", lines: what it means, then what to do}
export function explain(t) {
  if (t.status === "applied") return applied(t);
  if (t.status === "duplicate") return duplicate(t);
  if (t.status === "rejected") return rejected(t);
  return failed(t);
}

function applied(t) {
  const lines = t.effects.length ? [] : ["It changed no amount: LTV is what it was before it."];
  return { title: "It counts.", kind: t.notes.length ? "warn" : "", lines: [...lines, ...t.notes.map(explainNote)] };
}

function duplicate(t) {
  if (v1(t)) {
    return { title: "It was counted before.", kind: "warn", lines: [
      "The same order was submitted before with the same content. The answer was 201 with the first order, and nothing changed.",
      "To change the order, edit it: POST /v1/order/{order_id}. To count a second order, send it under an order_id of its own."] };
  }
  return { title: "It was counted before.", kind: "warn", lines: [
    "The same event came before: with the same Idempotency-Key, or with the same content and the same occurred_at.",
    "If it is a second event, send it with an occurred_at of its own, or with another Idempotency-Key.",
    ...(t.original_request_id ? ["The request that was counted is linked below."] : [])] };
}

function rejected(t) {
  const lines = ["It was refused at the door, and the answer said so. Nothing of it is stored but this line."];
  if (/other content/.test(t.reason ?? "") || /conflict/i.test(t.reason ?? "")) {
    lines.push("An order of this order_id stands with other content. To change it, edit it: POST /v1/order/{order_id}.");
  } else if (/valid JSON|UTF-8|gzip|nested/.test(t.reason ?? "")) {
    lines.push("The body could not be read. Check how the client writes its JSON and whether it sends what Content-Encoding says.");
  } else if (/at most .* of JSON/.test(t.reason ?? "")) {
    lines.push("The body is too large. Send fewer orders in a batch, or less in an order.");
  } else if (/Content-Type|Content-Encoding/.test(t.reason ?? "")) {
    lines.push("Send it as application/json, plain or gzip.");
  } else if (t.fields.length) {
    lines.push(`Correct ${t.fields.join(", ")}, and send it again.`);
  } else {
    lines.push("Correct it and send it again.");
  }
  return { title: "It was not accepted.", kind: "bad", lines };
}

function failed(t) {
  const reason = t.reason ?? "";
  if (reason.startsWith("idempotency_key_reused")) {
    return { title: "It was accepted, and does not count.", kind: "bad", lines: [
      "Another event came first under the same Idempotency-Key.", "Send it again with a key of its own: one key for one event."] };
  }
  if (reason.startsWith("purged")) {
    return { title: "It was dropped.", kind: "warn", lines: [
      "It was received before a purge, and was still queued then.",
      "If it should count, send it again: what is received after a purge is new."] };
  }
  if (reason.startsWith("erased")) {
    return { title: "It was erased.", kind: "warn", lines: [
      "It was received before its person was erased, or it repeats an event that was.",
      "A new event makes the person known again."] };
  }
  if (reason.includes("discarded:")) {
    return { title: "It was accepted, and discarded by hand.", kind: "bad", lines: ["Send it again if it shall count."] };
  }
  return { title: "It was accepted, and could not be applied.", kind: "bad", lines: [
    "It stands among the dead letters, whole. Replay it there when the cause is mended; it then counts once."] };
}
