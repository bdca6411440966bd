// Who is signed in, which view is shown, and the search.

import { failed } from "/page/dom.js";
import { encode, get, orNothing, session, v3 } from "/page/api.js";
import { request, transactions } from "/page/transactions.js";
import { order } from "/page/orders.js";
import { person, search } from "/page/people.js";
import { audiences, deadletters, purge } from "/page/upkeep.js";

const VIEWS = {
  "": ["transactions", "Transactions", transactions],
  request: ["transactions", "Request", request],
  order: ["transactions", "Order", order],
  people: ["people", "People", search],
  person: ["people", "Person", person],
  audiences: ["audiences", "Audiences", audiences],
  deadletters: ["deadletters", "Dead letters", deadletters],
  purge: ["purge", "Purge", purge],
};

const by = (id) => document.getElementById(id);
let turn = 0, searches = 0; // the latest view and the latest search; an answer to an earlier one is too late

function showDoor(message) {
  session.leave();
  turn += 1;
  searches += 1;
  by("bar").hidden = by("frame").hidden = true;
  by("door").hidden = false;
  by("main").replaceChildren();
  by("refused").hidden = !message;
  by("refused").textContent = message ?? "";
  by("key").value = "";
  document.title = "Sign in – Tillbook";
  by("key").focus();
}

async function enter(message) {
  try {
    session.account = await get("/v1/account");
  } catch (error) {
    showDoor(error.status === 401 || error.status === 403 ? message : error.message);
    return;
  }
  by("account").textContent = `Account ${session.account.account_id}`;
  by("door").hidden = true;
  by("bar").hidden = by("frame").hidden = false;
  await show();
}

async function show() {
  if (!session.account) return;
  const mine = (turn += 1);
  searches += 1;
  const alive = () => mine === turn;
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/");
  const [section, title, view] = VIEWS[name] ?? VIEWS[""];
  for (const link of by("nav").children) {
    if (link.dataset.section === section) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${title} – Tillbook`;
  const main = by("main");
  main.replaceChildren();
  try {
    const drawn = view(main, rest.length ? decodeURIComponent(rest.join("/")) : new URLSearchParams(query), alive);
    main.querySelector("h1")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    await drawn;
  } catch (error) {
    if (alive()) main.append(failed(error, show));
  }
}

const REQUEST = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

async function find(text) {
  if (REQUEST.test(text)) return `#/request/${encode(text.toLowerCase())}`;
  if (!text.includes("@") && (await get(`/v1/transactions?order_id=${encode(text)}&limit=1`)).transactions.length) return `#/order/${encode(text)}`;
  const known = await orNothing(get(v3(`/people/${encode(text)}`)));
  if (known) return `#/person/${encode(known.id)}`;
  // An e-mail in the address would stay in the browser's history.
  return text.includes("@") ? "#/person/" : `#/order/${encode(text)}`;
}

by("signin").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = by("key").value.trim();
  if (!/^[\x21-\x7e]+$/.test(key)) {
    showDoor("That is no key.");
    return;
  }
  session.enter(key);
  enter("This key is unknown, revoked, or no admin key.");
});
by("leave").addEventListener("click", () => showDoor());
by("search").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = by("query").value.trim();
  if (!text) return;
  const mine = (searches += 1);
  try {
    const where = await find(text);
    if (mine !== searches) return;
    by("query").value = "";
    if (location.hash === where) show();
    else location.hash = where;
  } catch (error) {
    if (mine !== searches) return;
    turn += 1; // the view is replaced
    by("main").replaceChildren(failed(error));
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // #main is no view
  by(by("frame").hidden ? "key" : "main").focus();
});
session.refused = () => {
  if (session.account) showDoor("The key works no longer. Sign in with another one.");
};
addEventListener("hashchange", show);

if (session.key) enter("The key works no longer. Sign in with another one.");
else showDoor();
