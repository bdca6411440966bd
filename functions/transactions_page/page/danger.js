// Erasing a customer and purging orders: neither can be undone.

import { h } from "/page/dom.js";
import { money, plural } from "/page/format.js";
import { call, encode, followJob, get, orNothing, v3 } from "/page/api.js";
import { ask, failed, progress, toast } from "/page/ui.js";
import { customerName } from "/page/links.js";
import { SOURCES } from "/page/words.js";

const JOB = "tillbook.purge"; // the key of the running purge in the session storage

// `idOrEmail` is sent to the API; `name` is shown; `person` is null if no order is known.
export function eraseDialog(idOrEmail, name, person) {
  const values = Object.entries(person?.lifetime_value ?? {})
    .map(([currency, amount]) => money(amount, currency))
    .join(" and ");
  ask({
    title: `Erase ${name}?`,
    kind: "danger",
    confirm: "Erase customer",
    word: "erase",
    text: [
      person
        ? `This permanently deletes ${plural(person.orders_count, "order")}${values && `, ${values} of lifetime value`}, the timeline, audience records and dead letters. Events still in the queue are dropped.`
        : "No order of this customer is known. Their events in the queue and their dead letters are dropped.",
      "It cannot be undone. If the same person is known by another ID or email, erase that one too.",
    ],
    run: async () => {
      const { job_id: id } = await call("DELETE", v3(`/people/${encode(idOrEmail)}`));
      toast(`Erasing ${name}. It takes some minutes; this page says when it is done.`);
      if (location.hash.startsWith("#/customer")) location.hash = "#/customers";
      followJob(
        id,
        (job) => {
          if (job.status === "done") toast(`Erased ${name}.`);
          else if (job.status === "failed") toast(`Erasing ${name} failed: ${job.error}`);
        },
        () => true,
      ).catch(() => {});
    },
  });
}

// Finds the customer first, so that the next dialog shows who is erased.
export function eraseSomebody() {
  ask({
    title: "Erase a customer",
    confirm: "Find customer",
    field: {
      label: "Email, person ID or customer ID",
      placeholder: "ann@example.com",
      hint: "The customer is shown before anything is erased.",
    },
    run: async (text) => {
      const person = await orNothing(get(v3(`/people/${encode(text)}`)));
      setTimeout(() => eraseDialog(person?.id ?? text, person ? customerName(person) : `“${text}”`, person));
    },
  });
}

// Asks, then purges. The progress is drawn into `box`.
export function purgeDialog(box, alive) {
  const source = h(
    "select",
    { id: "p-source" },
    h("option", { value: "" }, "Both sources"),
    Object.entries(SOURCES).map(([value, text]) => h("option", { value }, `${text} only`)),
  );
  const warning = h("p", { class: "notice bad", role: "status" });
  const draw = () => {
    warning.textContent = `Permanently deletes all orders of ${source.value ? SOURCES[source.value] : "both sources"}, with their lifetime value, timelines and audience records.`;
  };
  source.addEventListener("input", draw);
  draw();
  ask({
    title: "Purge orders",
    kind: "danger",
    confirm: "Purge orders",
    word: "purge",
    wide: true,
    body: h(
      "div",
      {},
      h("div", { class: "field" }, h("label", { for: "p-source" }, "Orders of"), source),
      warning,
      h(
        "p",
        {},
        "The orders disappear at once and are deleted some minutes later. Anything received from now on counts as new. This cannot be undone.",
      ),
    ),
    run: async () => {
      const { job_id: id } = await call("DELETE", "/v1/transactions", { confirm: "purge", ...(source.value && { source: source.value }) });
      sessionStorage.setItem(JOB, id);
      toast("Purged: the orders no longer count. They are being deleted in the background.");
      showPurge(box, alive);
    },
  });
}

// Shows the progress of the purge that this tab started, also after a reload.
export async function showPurge(box, alive) {
  const id = sessionStorage.getItem(JOB);
  if (!id) return;
  try {
    const job = await followJob(id, (state) => progress(box, state, "Deleting purged orders"), alive);
    if (job) sessionStorage.removeItem(JOB);
  } catch (error) {
    sessionStorage.removeItem(JOB);
    if (alive()) box.replaceChildren(failed(error));
  }
}
