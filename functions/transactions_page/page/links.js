// Links to orders and customers, and their names.

import { h } from "/page/dom.js";
import { query } from "/page/api.js";

export const orderAddress = (order) => query("#/order", { provider: order.provider, id: order.order_id });
export const customerAddress = (id) => query("#/customer", { id });

// The number that the customer sees, else the shop's own id.
export const orderName = (order) => order.order_public_id || order.order_id;

// The style sheet truncates a long name; the tooltip has all of it.
export const orderLink = (order, kind = "strong") =>
  h("a", { href: orderAddress(order), class: `ordername ${kind}`, title: orderName(order) }, orderName(order));

// The name if it is known, else the shop's id of the customer, else the beginning of Tillbook's id. For names.js, a
// link without a name has the attribute data-person.
export const customerName = (person) => person.name || person.person_id || person.customer_id || `Customer ${person.id.slice(0, 8)}`;
export const customerLink = (person, kind = "quiet") =>
  h("a", { href: customerAddress(person.id), class: kind, "data-person": person.name ? null : person.id }, customerName(person));

// The name and the place in an address, whose fields differ between the APIs.
export const nameOf = (address) => address?.name || [address?.first_name, address?.last_name].filter(Boolean).join(" ") || "";
export const placeOf = (address) => [address?.city, address?.state ?? address?.state_name].filter(Boolean).join(", ");
