"""Runs the page's scripts in Node, with stubs for the parts of a browser that they use."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from local.stack import ROOT

NODE = shutil.which("node")
PAGE = ROOT / "functions" / "transactions_page" / "page"

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(NODE is None, reason="the page's scripts were not run: Node.js is not installed"),
]

BROWSER = """
globalThis.location = { origin: "https://shop.example", hash: "" };
const kept = new Map();
globalThis.sessionStorage = {
  getItem: (name) => kept.get(name) ?? null, setItem: (name, value) => kept.set(name, value),
  removeItem: (name) => kept.delete(name),
};
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with copies of the scripts whose imports Node can resolve."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for script in PAGE.glob("*.js"):
        text = script.read_text().replace('from "/page/', 'from "./').replace('import("/page/', 'import("./')
        (tmp_path / script.name).write_text(text)
    return tmp_path


def run_script(scripts: Path, source: str) -> Any:
    """The JSON that `source` prints."""
    (scripts / "test.js").write_text(BROWSER + source)
    assert NODE
    done = subprocess.run([NODE, "test.js"], capture_output=True, text=True, check=False, cwd=scripts, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def values(scripts: Path, module: str, expressions: list[str], first: str = "") -> Any:
    """The values of expressions, which use the exports of a module as `m`. The statements `first` run before them."""
    return run_script(
        scripts,
        f'const m = await import("./{module}");{first}\nconsole.log(JSON.stringify([{",".join(expressions)}]));',
    )


@pytest.mark.parametrize(
    "shape",
    [
        {}, [], 1, "x", None, {"a": {}, "b": [], "c": [[], {}]}, [1, -2.5, True, None, "a"],
        {"long": '"' * 1_000_000 + "x" * 1_000_000},
        {"quoted": 'a "b" \\', "brackets": "{[,:]}", "lines": "a\n\t\u2028é\U0001f600", "": {"x": [{"y": ["z"]}]}},
    ],
)  # fmt: skip
def test_json_is_indented_as_a_browser_indents_it(scripts: Path, shape: Any) -> None:
    texts = [json.dumps(shape, ensure_ascii=False), json.dumps(shape, separators=(",", ":"), ensure_ascii=False)]
    texts.append(json.dumps(shape, indent=1, ensure_ascii=False).replace("{}", "{ }").replace("[]", "[\n]"))
    source = """
    const { pretty } = await import("./format.js");
    console.log(JSON.stringify(TEXTS.map((text) => [pretty(text), JSON.stringify(JSON.parse(text), null, 2)])));
    """
    for found, wanted in run_script(scripts, source.replace("TEXTS", json.dumps(texts))):
        assert found == wanted


def test_an_order_s_numbers_are_shown_as_the_api_wrote_them(scripts: Path) -> None:
    answer = '{"total":"1.00","points":9007199254740993,"rate":12345678901234567.89,"tax":1.10}'
    source = """
    globalThis.fetch = async () => new Response(ANSWER);
    const { get, textOf } = await import("./api.js");
    const { pretty } = await import("./format.js");
    console.log(JSON.stringify(pretty(textOf(await get("/v1/order/1")))));
    """
    assert run_script(scripts, source.replace("ANSWER", json.dumps(answer))) == (
        '{\n  "total": "1.00",\n  "points": 9007199254740993,\n  "rate": 12345678901234567.89,\n  "tax": 1.10\n}'
    )


@pytest.mark.parametrize("after", ["", ',"payload2":1,"x":{"payload":2}'])
def test_the_payload_of_a_dead_letter_is_shown_as_the_api_wrote_it(scripts: Path, after: str) -> None:
    answer = '{"before":{"payload":0},"payload":{"id":9007199254740993,"items":[{"price":1.10}]}' + after + "}"
    source = """
    const { prettyMember } = await import("./format.js");
    console.log(JSON.stringify(prettyMember(ANSWER, "payload")));
    """
    assert run_script(scripts, source.replace("ANSWER", json.dumps(answer))) == (
        '{\n  "id": 9007199254740993,\n  "items": [\n    {\n      "price": 1.10\n    }\n  ]\n}'
    )


def test_an_answer_that_is_not_json_is_reported_by_its_status(scripts: Path) -> None:
    source = """
    globalThis.fetch = async () => new Response("<html>", { status: 502 });
    const { get } = await import("./api.js");
    console.log(JSON.stringify(await get("/x").catch((error) => [error.status, error.message])));
    """
    assert run_script(scripts, source) == [502, "Tillbook answered with an error (status 502). Try again in a moment."]


@pytest.mark.parametrize("function", ["get", "look"])
def test_a_503_with_retry_after_is_requested_again(scripts: Path, function: str) -> None:
    source = """
    let requests = 0;
    globalThis.setTimeout = (callback) => { queueMicrotask(callback); };
    const unavailable = () => new Response("{}", { status: 503, headers: { "retry-after": "1" } });
    globalThis.fetch = async () => ((requests += 1) < 3 ? unavailable() : new Response('{"a":1}'));
    const { FUNCTION } = await import("./api.js");
    console.log(JSON.stringify([await FUNCTION("/x"), requests]));
    """
    assert run_script(scripts, source.replace("FUNCTION", function)) == [{"a": 1}, 3]


def test_look_returns_the_same_object_for_an_unchanged_answer(scripts: Path) -> None:
    source = """
    const tags = [];
    globalThis.fetch = async (path, { headers }) => {
      tags.push(headers["if-none-match"] ?? null);
      if (tags.length === 2) return new Response(null, { status: 304 });
      return new Response(tags.length < 3 ? '{"a":1}' : '{"a":2}', { headers: { etag: `"${tags.length}"` } });
    };
    const { look } = await import("./api.js");
    const [first, second, third] = [await look("/x"), await look("/x"), await look("/x")];
    console.log(JSON.stringify([first === second, third.a, tags]));
    """
    assert run_script(scripts, source) == [True, 2, [None, '"1"', '"1"']]


def test_amounts_are_shown_in_their_currency_and_added_exactly(scripts: Path) -> None:
    wanted = {
        'm.money("109.9","USD")': "$109.90",
        'm.money("-12345678901234567.1234","CAD")': "−CA$12,345,678,901,234,567.1234",
        'm.money("5","EUR",{sign:true})': "+€5.00",
        'm.money("123456.78","USD",{whole:true})': "$123,457",
        'm.money("12.78","USD",{whole:true})': "$12.78",
        'm.money("-0.00","USD")': "$0.00",
        'm.money("1200","JPY")': "¥1,200",
        'm.sum(["0.1","0.2","-5"])': "-4.70",
        'm.minus("1","2.5")': "-1.50",
        'm.shortMoney(30000,"USD")': "$30K",
    }
    assert dict(zip(wanted, values(scripts, "format.js", list(wanted)), strict=True)) == wanted


@pytest.mark.parametrize("zone", ["America/Los_Angeles", "UTC", "Pacific/Kiritimati"])
def test_a_date_without_a_time_is_that_date_in_every_zone(scripts: Path, zone: str) -> None:
    found = values(
        scripts,
        "format.js",
        ['m.moment("2025-11-06T00:00:00Z",{dated:true})', 'm.dayOf("2025-11-06T00:00:00Z")', 'm.date("2025-11-06")'],
        f'm.setZone("{zone}");',
    )
    assert found == ["Nov 6, 2025", "2025-11-06", "Nov 6, 2025"]


def test_a_moment_is_shown_in_the_account_s_zone(scripts: Path) -> None:
    found = values(
        scripts,
        "format.js",
        ['m.moment("2025-11-06T02:30:00Z")', 'm.dayOf("2025-11-06T02:30:00Z")', 'm.zoneNote(new Date("2025-07-01"))'],
        'm.setZone("America/New_York");',
    )
    assert found == ["Nov 5, 2025, 9:30 PM", "2025-11-05", "New York time (UTC−4)"]


def test_an_unknown_time_zone_is_shown_as_utc(scripts: Path) -> None:
    assert values(scripts, "format.js", ["m.zoneNote()"], 'm.setZone("Mars/Olympus");') == ["UTC"]


def test_the_kind_of_a_line_to_match_is_recognised(scripts: Path) -> None:
    wanted: dict[str, dict[str, Any]] = {
        " ann@example.com ": {"email": "ann@example.com"},
        "a" * 64: {"email_sha256": "a" * 64},
        "cus_1": {"customer_id": "cus_1"},
        "12 Alder St, Apt 4, Portland ME 04101":
            {"address": {"address_1": "12 Alder St", "address_2": "Apt 4", "postal_code": "04101"}},
        "12 Alder St, 02139-1234": {"address": {"address_1": "12 Alder St", "postal_code": "02139-1234"}},
        "1 High St, London SW1A 1AA": {"address": {"address_1": "1 High St", "postal_code": "SW1A 1AA"}},
    }  # fmt: skip
    found = values(scripts, "audiences.js", [f"m.personOf({json.dumps(line)})" for line in wanted])
    assert dict(zip(wanted, found, strict=True)) == wanted


def test_lines_to_match_are_read_without_heading_quotes_and_blank_lines(scripts: Path) -> None:
    pasted = 'email\r\n"a@b.c"\n\n d '
    assert values(scripts, "audiences.js", [f"m.linesOf({json.dumps(pasted)})"]) == [["a@b.c", "d"]]


def test_each_kind_of_outcome_is_explained(scripts: Path) -> None:
    base = {"notes": [], "effects": [], "fields": [], "source": "shopper_activity"}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"status": "applied"}, "changed no amount"),
        ({"status": "duplicate"}, "its own occurred_at"),
        ({"status": "duplicate", "source": "orders_api"}, "edit it"),
        ({"status": "rejected", "reason": "email is required", "fields": ["email"]}, "Correct email"),
        ({"status": "rejected", "reason": "not valid JSON"}, "could not be read"),
        ({"status": "failed", "reason": "idempotency_key_reused"}, "one key for one event"),
        ({"status": "failed", "reason": "purged"}, "before a purge"),
        ({"status": "failed", "reason": "erased"}, "was erased"),
        ({"status": "failed", "reason": "order_full"}, "1,000 events"),
        ({"status": "failed", "reason": "discarded: a test"}, "Send it again"),
        ({"status": "failed", "reason": "could not be applied (X)"}, "Dead letters"),
        ({"status": "queued"}, "on its way"),
    ]
    expressions = [f"m.explain({json.dumps(base | case)}).lines.join(' ')" for case, _ in cases]
    for lines, (case, wanted) in zip(values(scripts, "words.js", expressions), cases, strict=True):
        assert wanted in lines, case


def test_a_cell_that_looks_like_a_formula_is_saved_as_text(scripts: Path) -> None:
    source = """
    let saved = "";
    globalThis.Blob = class { constructor(parts) { saved = parts.join(""); } };
    globalThis.URL = { createObjectURL: () => "", revokeObjectURL() {} };
    const node = () => ({ append() {}, setAttribute() {}, addEventListener() {}, click() {}, remove() {} });
    globalThis.document = { createElement: node, createElementNS: node, getElementById: node };
    globalThis.setTimeout = () => {};
    const { saveRows } = await import("./table.js");
    const columns = [{ name: "a", csv: (row) => row }, { name: "shown only" }];
    saveRows("x.csv", columns, ["=1+1", "-5.00", "+1", 'a "b", c', null, "@x"]);
    console.log(JSON.stringify(saved));
    """
    assert run_script(scripts, source) == 'a\r\n\'=1+1\r\n-5.00\r\n\'+1\r\n"a ""b"", c"\r\n\r\n\'@x\r\n'


def test_twelve_months_begin_on_the_day_after_this_date_a_year_ago(scripts: Path) -> None:
    clock = (
        "const RealDate = Date; let now;"
        "globalThis.Date = class extends RealDate { constructor(...a) { super(...(a.length ? a : [now])); } };"
        'const presetOn = (day) => { now = `${day}T12:00:00Z`; return m.presets()["12m"].slice(1).join(".."); };'
    )
    begins = {
        "2026-11-30": "2025-12-01",
        "2027-01-31": "2026-02-01",
        "2027-02-28": "2026-03-01",
        "2028-02-28": "2027-03-01",
        "2028-02-29": "2027-03-01",
        "2029-02-28": "2028-02-29",
        "2028-12-31": "2028-01-01",
    }
    found = values(scripts, "filters.js", [f'presetOn("{day}")' for day in begins], clock)
    assert found == [f"{begin}..{day}" for day, begin in begins.items()]


@pytest.mark.parametrize(
    "value", ["2026-99-99..2026-99-99", "2026-02-30..2026-03-01", "2026-11-01", "..", "", "soon", "constructor"]
)
def test_an_invalid_period_is_replaced_by_the_default(scripts: Path, value: str) -> None:
    assert values(scripts, "filters.js", [f'm.period("{value}","30d").text']) == ["Last 30 days"]


def test_a_period_may_be_two_dates_or_all_time(scripts: Path) -> None:
    periods = ['m.period("2026-11-01..2026-11-30","30d")', 'm.period("all","30d")']
    dates, all_time = values(scripts, "filters.js", periods)
    assert (dates["from"], dates["to"]) == ("2026-11-01", "2026-11-30")
    assert all_time == {"text": "All time", "from": None, "to": None}


def test_a_url_has_only_parameters_that_differ_from_their_defaults(scripts: Path) -> None:
    view = (
        'const view = m.state("orders", { dates: "30d", status: "", text: "" },'
        ' new URLSearchParams("status=paid&dates=30d&other=1"));'
    )
    expressions = [
        "view.status",
        "view.dates",
        'view.urlWith({ text: "a b" })',
        'view.urlWith({ status: "", dates: "all" })',
    ]
    assert values(scripts, "filters.js", expressions, view) == [
        "paid", "30d", "#/orders?status=paid&text=a+b", "#/orders?dates=all",
    ]  # fmt: skip


def test_a_range_is_shown_by_its_ends(scripts: Path) -> None:
    ranges = ['m.rangeText("","")', 'm.rangeText("-5","")', 'm.rangeText("","10")', 'm.rangeText("-5","10")']
    assert values(scripts, "filters.js", ranges) == ["", "-5 or more", "up to 10", "-5 – 10"]
