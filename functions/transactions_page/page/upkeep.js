// Audiences, dead letters and purge: what is set going by hand.

import { SOURCES, empty, failed, h, heading, loading, say, table, when } from "/page/dom.js";
import { call, encode, get } from "/page/api.js";
import { showJob } from "/page/people.js";
import { copyAsCurl, orderLink } from "/page/transactions.js";

export async function audiences(main, _asked, alive) {
  main.append(heading("Audiences"), loading("the audiences"));
  const found = await get("/v1/audiences");
  if (!alive()) return;
  main.replaceChildren(heading("Audiences"), h("p", { class: "hint" },
    "For the suppression of customers in campaigns. Each order gives a record for each of its addresses, in the moment it is counted."),
  h("div", { class: "grid2" }, found.map((audience) => card(audience, alive))), copyAsCurl("GET", "/v1/audiences"));
}

function card(audience, alive) {
  const path = `/v1/audience/${encode(audience.id)}`;
  const count = h("dd", {}, audience.member_count.toLocaleString("en"));
  const bar = h("div", { role: "status" });
  const rebuild = h("button", { type: "button", class: "quiet", onclick: async () => {
    rebuild.disabled = true;
    try {
      await showJob(bar, (await call("POST", `${path}/rebuild`)).job_id, alive);
      if (!alive()) return;
      const now = (await get("/v1/audiences")).find((other) => other.id === audience.id);
      count.textContent = now.member_count.toLocaleString("en");
    } catch (error) {
      bar.replaceChildren(failed(error));
    }
    rebuild.disabled = false;
  } }, "Rebuild");
  const members = h("div");
  const show = h("button", { type: "button", class: "quiet", onclick: async () => {
    members.replaceChildren(loading("members"));
    try {
      const page = await get(`${path}?limit=20`);
      members.replaceChildren(page.members.length ? table(`Members of ${audience.name}`, [["Order", ""], ["Kind", ""], ["Name", "wide"], ["Postal code", "wide"]],
        page.members.map((member) => [orderLink(member), member.kind, member.name ?? "", member.postal_code ?? ""])) : empty("No members yet."),
      page.next_cursor ? h("p", { class: "hint" }, "The first 20. All of them: ", h("code", {}, "tillbook audience export")) : "");
    } catch (error) {
      members.replaceChildren(failed(error));
    }
  } }, "Show members");
  return h("section", { class: "card", "aria-label": audience.name }, h("h2", {}, audience.name),
    h("dl", { class: "tiles" }, h("div", {}, h("dt", {}, "Records"), count)), h("p", {}, audience.description),
    h("div", { class: "actions" }, rebuild, show), bar, members, copyAsCurl("POST", `${path}/rebuild`));
}

export async function deadletters(main, _asked, alive) {
  const box = h("div", {}, loading("the dead letters"));
  let looks = 0;
  const draw = async (cursor = "") => {
    const mine = (looks += 1);
    const page = await get(`/v1/deadletters?limit=50${cursor && `&cursor=${encode(cursor)}`}`);
    if (alive() && mine === looks) box.replaceChildren(...letters(page, draw));
  };
  main.append(heading("Dead letters"), h("p", { class: "hint" },
    "Orders that were accepted and could not be applied. They are kept whole: mend the cause, then replay them. Replayed ones count once, like any others."),
  box, copyAsCurl("GET", "/v1/deadletters"));
  await draw();
}

function letters(page, draw) {
  if (!page.deadletters.length) return [empty("No dead letters.", h("p", {}, "All that was accepted is applied, or on its way."))];
  const act = (button, call, told) => async () => {
    button.disabled = true;
    try {
      await call();
      say(told);
      await draw();
    } catch (error) {
      say(error.message);
      button.disabled = false;
    }
  };
  const older = h("button", { type: "button", class: "quiet", onclick: async () => {
    older.disabled = true;
    try {
      await draw(page.next_cursor);
    } catch (error) {
      say(error.message);
      older.disabled = false;
    }
  } }, "Show older ones");
  const button = (text, what, told, kind = "quiet") => {
    const element = h("button", { type: "button", class: kind }, text);
    element.addEventListener("click", act(element, what, told));
    return element;
  };
  const rows = page.deadletters.map((letter) => {
    const path = `/v1/deadletters/${encode(letter.id)}`;
    const reason = h("input", { "aria-label": "Why it is discarded", placeholder: "Why it is discarded", maxlength: "500" });
    const discard = button("Discard", () => call("DELETE", path, { reason: reason.value }), "Discarded.", "danger");
    return [when(letter.failed_at, true), [orderLink(letter), h("span", { class: "why" }, letter.reason)], letter.action ?? "",
      h("div", {}, button("Replay", () => call("POST", `${path}/replay`), "Replayed: it is on its way."),
        h("details", {}, h("summary", {}, "Discard"), h("div", { class: "actions" }, reason, discard)), copyAsCurl("POST", `${path}/replay`))];
  });
  return [h("div", { class: "filters" }, button("Replay all", replayAll, "Replayed: they are on their way.")),
    h("div", { class: "card" }, table("Dead letters", [["Failed", "time"], ["Order", ""], ["Action", "wide"], ["", ""]], rows)),
    page.next_cursor && older].filter(Boolean);
}

// As many at once as there is time for.
async function replayAll() {
  for (let cursor = ""; cursor !== null;) {
    cursor = (await call("POST", `/v1/deadletters/all/replay${cursor && `?cursor=${encode(cursor)}`}`)).next_cursor ?? null;
  }
}

export async function purge(main, _asked, alive) {
  const source = h("select", { id: "source" }, h("option", { value: "" }, "both APIs"),
    Object.entries(SOURCES).map(([value, text]) => h("option", { value }, text)));
  const word = h("input", { id: "word", autocomplete: "off", spellcheck: "false" });
  const button = h("button", { type: "submit", class: "danger", disabled: true }, "Purge");
  const bar = h("div", { role: "status" });
  const shown = h("div");
  const body = () => ({ confirm: "purge", ...(source.value && { source: source.value }) });
  const sentence = h("p", { role: "status" });
  const describe = () => {
    sentence.textContent = `Deletes all orders of ${source.selectedOptions[0].text}, with their LTV, activity and audience records.`;
    button.disabled = word.value !== "purge";
    shown.replaceChildren(copyAsCurl("DELETE", "/v1/transactions", body()));
  };
  for (const input of [source, word]) input.addEventListener("input", describe);
  main.append(heading("Purge"), h("form", { class: "card", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const asked = body();
      word.value = "";
      await showJob(bar, (await call("DELETE", "/v1/transactions", asked)).job_id, alive);
    } catch (error) {
      bar.replaceChildren(failed(error));
    }
  } }, h("p", {}, "LTV stays right at every moment. What is received after the answer is new, even if it repeats something purged. ",
    h("strong", {}, "It cannot be undone.")),
  h("div", { class: "field" }, h("label", { for: "source" }, "Orders of"), source),
  sentence,
  h("div", { class: "field" }, h("label", { for: "word" }, "Type purge to confirm"), word), button, bar,
  h("p", { class: "hint" }, "Nothing of it is visible from the answer on. A job deletes it about two minutes later.")), shown);
  describe();
}
