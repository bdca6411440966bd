// Texts of amounts, numbers and times. Amounts are decimal texts or BigInt: numbers round many digits.

const LOCALE = globalThis.navigator?.languages?.find((name) => /^en\b/i.test(name)) ?? "en";
const cache = new Map();

// A cached Intl formatter, since making one is slow.
function format(kind, options) {
  const key = `${kind.name}${JSON.stringify(options)}`;
  if (!cache.has(key)) cache.set(key, new kind(LOCALE, options));
  return cache.get(key);
}
const number = (options) => format(Intl.NumberFormat, options);
const dates = (options) => format(Intl.DateTimeFormat, options);

// Amounts -------------------------------------------------

// A decimal text as a BigInt, in ten-thousandths of a currency unit.
export function units(text) {
  const [whole, rest = ""] = String(text).replace("-", "").split(".");
  return BigInt(whole + rest.slice(0, 4).padEnd(4, "0")) * (String(text).startsWith("-") ? -1n : 1n);
}

// The reverse of `units`, with at least two decimals.
export function decimal(amount) {
  const size = (amount < 0n ? -amount : amount).toString().padStart(5, "0");
  return `${amount < 0n ? "-" : ""}${size.slice(0, -4)}.${size.slice(-4).replace(/0{1,2}$/, "")}`;
}

export const sum = (amounts) => decimal(amounts.reduce((total, amount) => total + units(amount), 0n));
export const minus = (a, b) => decimal(units(a) - units(b));
export const isZero = (amount) => units(amount) === 0n;

// "1234.5" in USD as "$1,234.50". `sign`: with a plus if positive; `whole`: without cents from 1,000 on.
export function money(amount, currency, { sign = false, whole = false } = {}) {
  const text = String(amount),
    size = text.replace("-", "");
  const rounds = whole && size.split(".")[0].length > 3;
  const shown = number({
    style: "currency",
    currency,
    maximumFractionDigits: rounds ? 0 : 4,
    ...(rounds && { minimumFractionDigits: 0 }),
  }).format(size);
  if (text.startsWith("-") && !isZero(text)) return `−${shown}`;
  return sign && !isZero(text) ? `+${shown}` : shown;
}

// An amount for an axis, such as "$30K".
export const shortMoney = (value, currency) =>
  (value < 0 ? "−" : "") +
  number({ style: "currency", currency, notation: "compact", maximumFractionDigits: 1, minimumFractionDigits: 0 }).format(Math.abs(value));

export const decimals = (currency) => number({ style: "currency", currency }).resolvedOptions().maximumFractionDigits;

export const count = (value) => number({ maximumFractionDigits: 4 }).format(value);
export const percent = (part, places = 0) =>
  number({ style: "percent", minimumFractionDigits: places, maximumFractionDigits: places }).format(part);
export const plural = (value, one, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`;
export const currencyName = (code) => {
  try {
    return format(Intl.DisplayNames, { type: "currency" }).of(code);
  } catch {
    return code;
  }
};

// Times, all in the account's zone -----------------------

let zone = "UTC";

export function setZone(name) {
  try {
    new Intl.DateTimeFormat(LOCALE, { timeZone: name });
    zone = name;
  } catch {
    // a zone that this browser does not know
    zone = "UTC";
  }
}

export const zoneName = () => (zone === "UTC" ? "UTC" : `${zone.split("/").at(-1).replaceAll("_", " ")} time`);

export function zoneNote(at = new Date(), name = zone) {
  if (name === "UTC") return "UTC";
  const offset = dates({ timeZone: name, timeZoneName: "shortOffset" })
    .formatToParts(at)
    .find((part) => part.type === "timeZoneName").value;
  return `${name.split("/").at(-1).replaceAll("_", " ")} time (${offset.replace("GMT", "UTC").replace("-", "−")})`;
}

// An order's date of exactly midnight UTC is a date without a time: it is that date in every zone.
export const isDate = (iso) => /^\d{4}-\d\d-\d\d(T00:00:00(\.0+)?Z)?$/.test(iso);

const parts = (moment, where) =>
  Object.fromEntries(
    dates({ timeZone: where, year: "numeric", month: "2-digit", day: "2-digit", calendar: "iso8601", numberingSystem: "latn" })
      .formatToParts(moment)
      .map((part) => [part.type, part.value]),
  );

// The date in the account's zone, or in the zone `where`, as "2026-11-29".
export function dayOf(iso, where = zone) {
  const { year, month, day } = parts(new Date(iso), isDate(iso) ? "UTC" : where);
  return `${year.padStart(4, "0")}-${month}-${day}`;
}
export const today = () => dayOf(new Date().toISOString());

export function addDays(day, days) {
  const moment = new Date(`${day}T00:00:00Z`);
  moment.setUTCDate(moment.getUTCDate() + days);
  return moment.toISOString().slice(0, 10);
}
export const daysBetween = (from, to) => Math.round((Date.parse(to) - Date.parse(from)) / 86_400_000);

// The first day of the month that is `months` after the month of `day`.
export function addMonths(day, months) {
  const moment = new Date(`${day.slice(0, 7)}-01T00:00:00Z`);
  moment.setUTCMonth(moment.getUTCMonth() + months);
  return moment.toISOString().slice(0, 10);
}

// A date: "Nov 29", with the year if it is not this year.
export function date(iso, { year, week = false } = {}) {
  const where = isDate(iso) ? "UTC" : zone,
    moment = new Date(iso);
  const other = year ?? dayOf(iso).slice(0, 4) !== today().slice(0, 4);
  return dates({
    timeZone: where,
    month: "short",
    day: "numeric",
    ...(other && { year: "numeric" }),
    ...(week && { weekday: "short" }),
  }).format(moment);
}

export function span(from, to) {
  const options = { timeZone: "UTC", month: "short", day: "numeric", year: "numeric" };
  return dates(options).formatRange(new Date(from), new Date(to));
}
export const month = (day) => dates({ timeZone: "UTC", month: "short", year: "numeric" }).format(new Date(day));

export const clock = (iso, seconds = false) =>
  dates({ timeZone: zone, hour: "numeric", minute: "2-digit", ...(seconds && { second: "2-digit" }) }).format(new Date(iso));

// A date and time. `dated`: for an order's moment, which may be a date without a time.
export const moment = (iso, { seconds = false, dated = false } = {}) =>
  dated && isDate(iso) ? date(iso) : `${date(iso, {})}, ${clock(iso, seconds)}`;

// "5 minutes ago"; after 60 days the date.
export function ago(iso, now = Date.now()) {
  const minutes = (now - Date.parse(iso)) / 60_000;
  const words = (value, unit) => {
    const text = format(Intl.RelativeTimeFormat, { numeric: "auto" }).format(-Math.round(value), unit);
    return text[0].toUpperCase() + text.slice(1);
  };
  if (minutes < 1) return "Just now";
  if (minutes < 60) return words(minutes, "minute");
  if (minutes < 1440) return words(minutes / 60, "hour");
  return minutes < 60 * 1440 ? words(minutes / 1440, "day") : date(iso);
}

// Indented JSON. It is not parsed, so that each text and number stays as it was sent.
export function pretty(json) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const tokens = json.match(/"[^"\\]*(?:\\.[^"\\]*)*"|[[{]\s*[\]}]|[^\s"[\]{}:,]+|[[\]{}:,]/g) ?? [];
  return tokens
    .map((token) => {
      if (token === "{" || token === "[") {
        depth += 1;
        return token + line();
      }
      if (token === "}" || token === "]") {
        depth -= 1;
        return line() + token;
      }
      if (token === ",") return token + line();
      return token === ":" ? ": " : token.replace(/^([[{])\s+/, "$1");
    })
    .join("");
}

// A member of a JSON object as indented JSON.
export function prettyMember(json, name) {
  const start = `  ${JSON.stringify(name)}: `,
    lines = pretty(json).split("\n").slice(1, -1),
    first = lines.findIndex((line) => line.startsWith(start)),
    next = lines.findIndex((line, index) => index > first && line.startsWith('  "'));
  const member = lines.slice(first, next < 0 ? lines.length : next).map((line) => line.slice(2));
  return member.join("\n").slice(start.length - 2).replace(/,$/, "");
}
