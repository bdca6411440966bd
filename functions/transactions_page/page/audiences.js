// The customer audiences: their sizes and members, their export, and a check whether a person is a customer.

import { h } from "/page/dom.js";
import { count, date, percent, plural } from "/page/format.js";
import { call, csvPage, encode, followJob, get, query } from "/page/api.js";
import { ask, badge, button, card, disclose, failed, heading, progress, skeleton, toast } from "/page/ui.js";
import { csvButton, csvOfPages, table } from "/page/table.js";
import { placeOf } from "/page/links.js";

const MOST_PEOPLE = 1000,
  JOB = "tillbook.rebuild."; // with the id of an audience: the key of its running rebuild in the session storage

export async function audiences(main, _parameters, { alive }) {
  const pair = h("div", { class: "pair" }, skeleton("the audiences", 4));
  main.append(
    heading("Audiences", {
      sub: "Lists of existing customers, kept up to date with every order. Use them to leave customers out of campaigns that look for new ones.",
    }),
    pair,
    matchCard(alive),
  );
  const found = await get("/v1/audiences");
  if (alive()) pair.replaceChildren(...found.map((audience) => audienceCard(audience, alive)));
}

function audienceCard(audience, alive) {
  const path = `/v1/audience/${encode(audience.id)}`,
    number = h("strong", {}, count(audience.member_count)),
    bar = h("div", { class: "progress", role: "status" });
  // Shows the progress of a rebuild, also after a reload.
  const follow = async (id) => {
    rebuild.disabled = true;
    try {
      const job = await followJob(id, (state) => progress(bar, state, "Rebuild"), alive);
      if (!alive()) return;
      sessionStorage.removeItem(JOB + audience.id);
      if (job.status === "done")
        number.textContent = count((await get("/v1/audiences")).find((other) => other.id === audience.id).member_count);
    } catch (error) {
      sessionStorage.removeItem(JOB + audience.id);
      bar.replaceChildren(failed(error));
    }
    rebuild.disabled = false;
  };
  const rebuild = button("Rebuild…", {
    icon: "replay",
    onclick: () =>
      ask({
        title: "Rebuild this audience?",
        confirm: "Rebuild",
        text: "Tillbook reads every order again and corrects the audience, which stays usable meanwhile. This also happens every night.",
        run: async () => {
          const { job_id: id } = await call("POST", `${path}/rebuild`);
          sessionStorage.setItem(JOB + audience.id, id);
          follow(id);
        },
      }),
  });
  const running = sessionStorage.getItem(JOB + audience.id);
  if (running) follow(running);
  const members = h("div", {}),
    disclosure = disclose("Members", members);
  disclosure.addEventListener("toggle", () => {
    if (disclosure.open && !members.firstChild) showMembers(members, path, audience);
  });
  return h(
    "section",
    { class: "card audience", "aria-label": audience.name },
    h("header", {}, h("h2", {}, audience.name)),
    h("p", { class: "bignumber" }, number, h("span", {}, "records: one for each address of an order, and one for an order without an address")),
    h("p", { class: "hint" }, audience.description),
    bar,
    h(
      "div",
      { class: "actions" },
      csvOfPages(`${audience.id}.csv`, (cursor) => csvPage(query(path, { format: "csv", limit: 200, cursor }))),
      rebuild,
    ),
    disclosure,
  );
}

async function showMembers(box, path, audience) {
  box.replaceChildren(skeleton("members", 5));
  try {
    const page = await get(`${path}?limit=20`);
    const columns = [
      { key: "name", name: "Name", cell: (member) => member.name ?? "Not sent", csv: (member) => member.name },
      { key: "place", name: "Place", cell: placeOf, csv: placeOf },
      { key: "order", name: "Order", cell: (member) => member.order_id, csv: (member) => member.order_id },
      {
        key: "kind",
        name: "Address",
        cell: (member) => ({ shipping: "Shipping", billing: "Billing", person: "None" })[member.kind],
        csv: (member) => member.kind,
      },
      { key: "added", name: "Added", number: true, cell: (member) => date(member.added_at), csv: (member) => member.added_at },
    ];
    box.replaceChildren(
      page.members.length
        ? h(
            "div",
            { class: "scroll", tabindex: "0", role: "region", "aria-label": "Members" },
            table({ caption: `Members of ${audience.name}`, layout: "plain members", rows: page.members, columns }),
          )
        : h("p", { class: "hint" }, "No members yet."),
      page.next_cursor ? h("p", { class: "hint" }, `The first ${page.members.length}. Export CSV saves all of them.`) : "",
    );
  } catch (error) {
    box.replaceChildren(failed(error, () => showMembers(box, path, audience)));
  }
}

// Match ---------------------------------------------------

const APARTMENT = /^(apt|apartment|unit|suite|ste|floor|fl|room|rm|#)\b|^#/i;

// A person for the API's match request, from one line: an email, the SHA-256 of one, "street, postal code" (an
// apartment and a city may be between them), otherwise a customer ID.
export function personOf(line) {
  const text = line.trim();
  if (/^\S+@\S+$/.test(text)) return { email: text };
  if (/^[0-9a-f]{64}$/i.test(text)) return { email_sha256: text };
  const parts = text
    .split(",")
    .map((part) => part.trim())
    .filter(Boolean);
  if (parts.length < 2) return { customer_id: text };
  // The last part may begin with a city or state (Portland ME 04101); a postal code may have two words (SW1A 1AA).
  const [address_1, ...rest] = parts,
    postal_code = rest.at(-1).match(/\S*\d\S*(?:\s\S*\d\S*)?$/)?.[0] ?? rest.at(-1);
  const unit = rest.slice(0, -1).find((part) => APARTMENT.test(part));
  return { address: { address_1, ...(unit && { address_2: unit }), postal_code } };
}

// The lines of a text or of a CSV with one column, without its heading.
export function linesOf(text) {
  const lines = text
    .split(/\r?\n/)
    .map((line) => line.trim().replace(/^"(.*)"$/, "$1"))
    .filter(Boolean);
  return /^(e-?mail|customer.?id|address|sha.?256)\b/i.test(lines[0] ?? "") ? lines.slice(1) : lines;
}

function matchCard(alive) {
  const input = h("textarea", { id: "who", rows: "6", spellcheck: "false", placeholder: "ann@example.com\ncus_51877\n12 Alder St, 04101" });
  const file = h("input", {
    id: "who-file",
    type: "file",
    accept: ".csv,.txt,text/csv,text/plain",
    onchange: async () => {
      if (file.files[0]) input.value = linesOf(await file.files[0].text()).join("\n");
    },
  });
  const result = h("div", { role: "status", "aria-label": "Result" }, h("p", { class: "hint placeholder" }, "Results appear here."));
  const go = h("button", { type: "submit", class: "btn primary" }, "Check");
  const form = h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        const lines = linesOf(input.value);
        if (!lines.length) return result.replaceChildren(h("p", { class: "error" }, "Enter at least one email, customer ID or address."));
        go.disabled = true;
        try {
          await matched(lines, result, alive);
        } catch (error) {
          result.replaceChildren(failed(error));
        }
        go.disabled = false;
        return undefined;
      },
    },
    h(
      "div",
      { class: "field" },
      h("label", { for: "who" }, "Emails, customer IDs or addresses, one per line"),
      input,
      h("p", { class: "hint" }, "An address is written as street, postal code. Emails are hashed on arrival, compared, and not kept."),
    ),
    h("div", { class: "field" }, h("label", { for: "who-file" }, "Or a file with one per line"), file),
    go,
  );
  return card("Is this person a customer?", { id: "match", kind: "matchcard" }, h("div", { class: "matchgrid" }, form, result));
}

// Shows which lines are in at least one of the two audiences. The API compares up to MOST_PEOPLE in a request.
async function matched(lines, result, alive) {
  const hits = new Array(lines.length).fill(false),
    ids = ["customers-orders-api", "customers-shopper-activity"];
  for (let start = 0; start < lines.length; start += MOST_PEOPLE) {
    result.replaceChildren(
      h("p", { class: "hint" }, `Comparing ${count(Math.min(lines.length, start + MOST_PEOPLE))} of ${count(lines.length)}…`),
    );
    const people = lines.slice(start, start + MOST_PEOPLE).map(personOf);
    for (const id of ids) {
      const answer = await call("POST", `/v1/audience/${id}/match`, { people });
      if (!alive()) return;
      answer.results.forEach((found, i) => {
        hits[start + i] ||= found.customer;
      });
    }
  }
  const rows = lines.map((line, i) => ({ line, hit: hits[i] })),
    found = hits.filter(Boolean).length;
  const columns = [
    { name: "value", csv: (row) => row.line },
    { name: "customer", csv: (row) => row.hit },
  ];
  result.replaceChildren(
    h(
      "p",
      { class: "match-sum" },
      h("strong", {}, `${count(found)} of ${plural(lines.length, "line")}`),
      ` (${percent(found / lines.length)}) ${found === 1 ? "is a customer" : "are customers"} already.`,
    ),
    h(
      "ul",
      { class: "match-list", tabindex: "0", "aria-label": "Each line" },
      rows
        .slice(0, 200)
        .map((row) => h("li", {}, badge(row.hit ? "Customer" : "Not a customer", row.hit ? "good" : "quiet"), h("span", {}, row.line))),
    ),
    rows.length > 200 && h("p", { class: "hint" }, "The first 200 lines are shown; the file has all."),
    h("div", { class: "actions" }, csvButton("match.csv", columns, rows, "Export result")),
  );
  toast("Compared.");
}
