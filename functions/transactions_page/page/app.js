// The entry module: signs in, shows the view that the URL names, searches, and polls.

import { h } from "/page/dom.js";
import { setZone } from "/page/format.js";
import { get, look, pause, session } from "/page/api.js";
import { frame, markSection, showAccount, showDeadLetters, signInForm, theme } from "/page/frame.js";
import { failed, toast } from "/page/ui.js";

// Name in the URL: [section of the navigation, title, module, its function]. A module is loaded when first shown. The
// function gets the main element, the URL's parameters and {alive, watch}: alive() is false once another view is shown;
// watch(poll) sets the view's polling function.
const VIEWS = {
  "": ["overview", "Overview", () => import("/page/overview.js"), "overview"],
  orders: ["orders", "Orders", () => import("/page/orders.js"), "orders"],
  order: ["orders", "Order", () => import("/page/order.js"), "order"],
  customers: ["customers", "Customers", () => import("/page/customers.js"), "customers"],
  customer: ["customers", "Customer", () => import("/page/customer.js"), "customer"],
  audiences: ["audiences", "Audiences", () => import("/page/audiences.js"), "audiences"],
  requests: ["requests", "Requests", () => import("/page/requests.js"), "requests"],
  deadletters: ["deadletters", "Dead letters", () => import("/page/deadletters.js"), "deadletters"],
  connections: ["connections", "Connections", () => import("/page/connections.js"), "connections"],
  settings: ["settings", "Settings", () => import("/page/settings.js"), "settings"],
};
const POLL_EVERY = 10_000; // milliseconds

const app = document.getElementById("app");
let turn = 0,
  searches = 0; // numbers of the latest view and search; answers to earlier ones are dropped
let watched = null; // the polling function of the view

function leave(message) {
  session.leave();
  turn += 1;
  searches += 1;
  watched = null;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  document.title = "Sign in · Tillbook";
  signInForm(app, message, enter);
}

async function enter(key) {
  session.enter(key);
  try {
    session.account = await get("/v1/account");
  } catch (error) {
    session.leave();
    if (error.status !== 401 && error.status !== 403) throw error;
    throw new Error("This key is not valid, was revoked, or can only send orders. Sign in with an admin key.", { cause: error });
  }
  begin();
}

function begin() {
  setZone(session.account.time_zone);
  frame(app, find, () => leave());
  return show();
}

async function show() {
  if (!session.account) return;
  const mine = (turn += 1),
    alive = () => mine === turn;
  searches += 1;
  watched = null;
  const [name, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const main = document.getElementById("main");
  const [section, title, load, view] = VIEWS[name] ?? [];
  main.replaceChildren();
  main.className = `view-${name || "overview"}`;
  markSection(section);
  document.title = `${title ?? "Not found"} · Tillbook`;
  if (!load) {
    main.append(
      h(
        "div",
        { class: "empty" },
        h("h1", { tabindex: "-1" }, "Page not found"),
        h("p", {}, "This address does not exist. It may have been mistyped."),
        h("a", { class: "btn", href: "#/" }, "Go to Overview"),
      ),
    );
    return;
  }
  try {
    const module = await load();
    if (!alive()) return;
    const done = module[view](main, new URLSearchParams(query), {
      alive,
      watch: (poll) => {
        watched = poll;
      },
    });
    scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
    await done;
  } catch (error) {
    if (!alive()) return;
    // Placeholders of what was still loading are removed.
    for (const element of main.querySelectorAll(".skeleton, .bone, .arrived")) element.remove();
    main.append(failed(error, show));
  }
}

async function find(text, input) {
  const mine = (searches += 1);
  try {
    const { search } = await import("/page/search.js");
    const found = await search(text);
    if (mine !== searches) return;
    if (found.message) {
      toast(found.message);
      return;
    }
    input.value = "";
    input.blur();
    if (location.hash === found.address) show();
    else location.hash = found.address;
  } catch (error) {
    if (mine === searches) toast(error.message);
  }
}

// Every POLL_EVERY, while the tab is visible: polls for the view, and for the number of dead letters.
async function keepPolling() {
  for (;;) {
    if (session.account && !document.hidden) {
      try {
        await watched?.();
        showDeadLetters(await look("/v1/deadletters/count"));
      } catch {
        // the next poll may succeed
      }
    }
    await pause(POLL_EVERY);
  }
}

session.refused = () => {
  if (session.account) leave("This key is no longer valid. Sign in with another one.");
};
addEventListener("hashchange", show);
addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, textarea, select, dialog")) return;
  event.preventDefault();
  document.getElementById("query")?.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // #main in the URL would not name a view
  document.getElementById("main").focus();
});

// After a reload: shows the view at once with the stored account, then reads the account again.
async function resume() {
  const before = session.account;
  await begin();
  session.account = await get("/v1/account");
  setZone(session.account.time_zone);
  showAccount();
  if (before.time_zone !== session.account.time_zone) show();
}

theme();
if (session.key && session.account)
  resume().catch(() => {}); // if the account cannot be read again, the stored one stays in use
else leave();
pause(1500).then(keepPolling);
