"""The page's scripts in Node, with as much of a browser as they touch."""

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
    pytest.mark.skipif(NODE is None, reason="the page's scripts were not run: there is no Node.js on this machine"),
]

BROWSER = """
globalThis.location = { origin: "https://shop.example" };
globalThis.sessionStorage = { getItem: () => "key" };
const shown = (node) => (typeof node === "string" ? node : node.children.map(shown).join(""));
const element = (name) => ({
  name, children: [], attributes: {}, addEventListener() {},
  append(...more) { this.children.push(...more); },
  replaceChildren(...more) { this.children = more; },
  setAttribute(attribute, value) { this.attributes[attribute] = value; },
  all(wanted) {
    const below = this.children.flatMap((child) => (typeof child === "string" ? [] : child.all(wanted)));
    return this.name === wanted ? [this, ...below] : below;
  },
});
globalThis.document = { createElement: element, createElementNS: (_, name) => element(name) };
"""


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The scripts where Node finds them."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    for script in PAGE.glob("*.js"):
        (tmp_path / script.name).write_text(script.read_text().replace('from "/page/', 'from "./'))
    return tmp_path


def ran(scripts: Path, source: str) -> Any:
    """The JSON that `source` prints."""
    (scripts / "test.js").write_text(BROWSER + source)
    assert NODE
    done = subprocess.run([NODE, "test.js"], capture_output=True, text=True, check=False, cwd=scripts, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "shape",
    [
        {}, [], 1, "x", None, {"a": {}, "b": [], "c": [[], {}]}, [1, -2.5, True, None, "a"],
        {"long": '"' * 1_000_000 + "x" * 1_000_000},
        {"quoted": 'a "b" \\', "brackets": "{[,:]}", "lines": "a\n\t\u2028é\U0001f600", "": {"x": [{"y": ["z"]}]}},
    ],
)  # fmt: skip
def test_json_is_indented_as_the_browser_would(scripts: Path, shape: Any) -> None:
    texts = [json.dumps(shape, ensure_ascii=False), json.dumps(shape, separators=(",", ":"), ensure_ascii=False)]
    texts.append(json.dumps(shape, indent=1, ensure_ascii=False).replace("{}", "{ }").replace("[]", "[\n]"))
    source = """
    const { pretty } = await import("./dom.js");
    console.log(JSON.stringify(TEXTS.map((text) => [pretty(text), JSON.stringify(JSON.parse(text), null, 2)])));
    """
    for found, wanted in ran(scripts, source.replace("TEXTS", json.dumps(texts))):
        assert found == wanted


def test_an_order_s_numbers_are_shown_as_the_api_tells_them(scripts: Path) -> None:
    answers = {
        "/v1/transactions?order_id=W%2B%201&limit=200": json.dumps(
            {"transactions": [{"status": "applied", "source": "orders_api", "provider": None}], "next_cursor": None}
        ),
        "/v1/order/W%2B%201/history": json.dumps(
            {"history": [{
                "action": "submitted", "name": "Submitted", "person": "p", "request_id": "r", "late": False,
                "lifetime_value": {"amount": "1.00", "currency": "USD"}, "before": None,
                "occurred_at": "2026-01-01T00:00:00Z", "received_at": "2026-01-01T00:00:00Z",
            }]}
        ),
        "/v1/order/W%2B%201": '{"total":"1.00","points":9007199254740993,"rate":12345678901234567.89,"tax":1.10}',
    }  # fmt: skip
    source = """
    const answers = ANSWERS;
    globalThis.fetch = async (path) => new Response(answers[path] ?? "{}", { status: answers[path] ? 200 : 404 });
    const { order } = await import("./orders.js");
    const main = element("main");
    await order(main, "W+ 1", () => true);
    const details = main.all("details").find((one) => shown(one).startsWith("As the API tells it"));
    console.log(JSON.stringify(shown(details.all("pre")[0])));
    """
    told = ran(scripts, source.replace("ANSWERS", json.dumps(answers)))
    assert told == (
        '{\n  "total": "1.00",\n  "points": 9007199254740993,\n  "rate": 12345678901234567.89,\n  "tax": 1.10\n}'
    )


def test_what_is_no_json_is_told_by_its_status(scripts: Path) -> None:
    source = """
    globalThis.fetch = async () => new Response("<html>", { status: 502 });
    const { get } = await import("./api.js");
    console.log(JSON.stringify(await get("/x").catch((error) => [error.status, error.message])));
    """
    assert ran(scripts, source) == [502, "The API answered 502."]
