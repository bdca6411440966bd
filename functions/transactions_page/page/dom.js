// Elements and icons. Text is inserted as text nodes only, so nothing that a shop sent is ever markup.

const SVG = "http://www.w3.org/2000/svg";

export const h = (name, attributes, ...children) => fill(document.createElement(name), attributes, children);
export const svg = (name, attributes, ...children) => fill(document.createElementNS(SVG, name), attributes, children);

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flatten(children));
  return element;
}

// The children as one flat list, without null, undefined and false.
export const flatten = (children) => [children].flat(9).filter((child) => child !== null && child !== undefined && child !== false);

const PATHS = {
  overview: "M4 19V10M10 19V5M16 19v-7M21 19H3",
  orders: "M6 3h12v18l-3-2-3 2-3-2-3 2zM9 8h6M9 12h6",
  customers: "M9 11a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM2 21c.6-4 3.4-6 7-6s6.4 2 7 6M16 3.5a4 4 0 0 1 0 7M18 15.5c2.2.7 3.6 2.5 4 5.5",
  audiences: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8z",
  requests: "M4 6h16M4 12h16M4 18h10",
  deadletters: "M12 4 2.5 20h19zM12 10v4.5M12 17.3v.2",
  connections: "M9 7V3M15 7V3M6 7h12v4a6 6 0 0 1-12 0zM12 17v4",
  settings: "M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5v5M8 14.5v5",
  more: "M5 11.9v.2M12 11.9v.2M19 11.9v.2",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16 16l4.5 4.5",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  left: "M15 6l-6 6 6 6",
  close: "M6 6l12 12M18 6 6 18",
  up: "M12 19V6M6 11l6-6 6 6",
  fall: "M12 5v13M6 13l6 6 6-6",
  out: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  csv: "M12 4v11M7 10.5l5 5 5-5M4 20h16",
  check: "M5 12.5l4.5 4.5L19 7",
  calendar: "M4 6h16v14H4zM4 10.5h16M8 3.5v4M16 3.5v4",
  plus: "M12 5v14M5 12h14",
  clock: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.5l3 2",
  replay: "M4 5v5h5M4.5 10A8 8 0 1 1 4 13",
  info: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 11v5M12 8v.1",
  trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  signout: "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
};

export const icon = (name) =>
  svg("svg", { viewBox: "0 0 24 24", class: `icon i-${name}`, "aria-hidden": "true" }, svg("path", { d: PATHS[name] }));

export const hidden = (text) => h("span", { class: "hidden" }, text);
