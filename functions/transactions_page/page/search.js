// The search: from a text to a request, an order, a customer, or the orders whose number begins with it.

import { encode, get, orNothing, query, v3 } from "/page/api.js";
import { customerAddress, orderAddress } from "/page/links.js";

const REQUEST_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

// Returns {address}, a URL of the page, or {message}. An e-mail address is sent to the API only: in the page's URL
// it would remain in the browser's history.
export async function search(text) {
  if (REQUEST_ID.test(text)) return { address: query("#/requests", { request: text.toLowerCase() }) };
  const findPerson = () => orNothing(get(v3(`/people/${encode(text)}`)));
  if (text.includes("@")) {
    const found = await findPerson();
    return found
      ? { address: customerAddress(found.id) }
      : { message: "No customer has this email. Check the spelling; the whole address is needed." };
  }
  const { orders } = await get(query("/v1/orders", { name: text, limit: 2 }));
  const bare = (name) => (name ?? "").toLowerCase().replace(/^#/, "");
  const exact = orders.filter((order) => [order.order_id, order.order_public_id].some((name) => bare(name) === bare(text)));
  if (exact.length === 1 || orders.length === 1) return { address: orderAddress(exact[0] ?? orders[0]) };
  if (orders.length) return { address: query("#/orders", { name: text, dates: "all" }) };
  const found = await findPerson();
  if (found) return { address: customerAddress(found.id) };
  // An order that is not listed may still have requests, for example rejected ones.
  const { transactions } = await get(query("/v1/transactions", { order_id: text, limit: 1 }));
  if (transactions.length) return { address: query("#/requests", { order: text }) };
  return { message: `Nothing found for “${text}”. Search for an order number or its beginning, a whole email address, or an ID.` };
}
