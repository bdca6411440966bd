// Names in lists of customers. A person has no name of their own, so the name in the address of the latest order is
// shown. It is read when the row scrolls into view, and shown after all pending reads, so that the table moves once.

import { encode, get, query, session, v3 } from "/page/api.js";
import { nameOf, placeOf } from "/page/links.js";

const AT_ONCE = 4; // requests
const waiting = new Set(); // links in view that do not show a name yet
let running = 0;

const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    seen.unobserve(target);
    waiting.add(target);
  }
  while (running < AT_ONCE && waiting.size) readWaiting();
});

// Reads and shows the missing names of a table's links to customers (links.js), once the links are in view.
export function showNames(table) {
  for (const link of table.querySelectorAll("a[data-person]")) if (!link.dataset.named) seen.observe(link);
}

async function readWaiting() {
  running += 1;
  while (waiting.size) {
    const [link] = waiting;
    waiting.delete(link);
    if (link.isConnected && !session.names.has(link.dataset.person)) {
      session.names.set(link.dataset.person, await read(link.dataset.person));
    }
    link.dataset.ready = "true";
  }
  running -= 1;
  if (running === 0) draw();
}

async function read(id) {
  try {
    const { orders } = await get(query(v3(`/people/${encode(id)}/orders`), { limit: 1 }));
    const address = [orders[0]?.shipping_address, orders[0]?.billing_address].find((one) => nameOf(one) || placeOf(one));
    return { name: nameOf(address), place: placeOf(address) };
  } catch {
    // erased meanwhile, or no answer: the row keeps its id
    return { name: "", place: "" };
  }
}

function draw() {
  for (const link of document.querySelectorAll("a[data-ready]")) {
    const { name, place } = session.names.get(link.dataset.person) ?? {};
    delete link.dataset.ready;
    link.dataset.named = "true";
    if (name) link.textContent = name;
    const beside = link.parentElement.querySelector(".place");
    if (place && beside) beside.textContent = place;
  }
}
