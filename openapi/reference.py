"""Writes docs/api.md: `PYTHONPATH=.:layers/shared .venv/bin/python -m openapi.reference`.

From functions/describe/openapi.json, and from events/, whose requests are the examples. tests/docs runs them in the
order in which they stand there, on the local stack.
"""

from __future__ import annotations

import json
import shlex
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from openapi.answers import Schema

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "functions" / "describe" / "openapi.json"
EVENTS = ROOT / "events"
TARGET = ROOT / "docs" / "api.md"

# Where an example is not simply the first event of its route: (event, what the block's test is told).
EXAMPLES: dict[str, list[tuple[str, str]]] = {
    "submitOrder": [("submit_order/order", ""), ("submit_order/small", "")],
    "recordActivity": [("record_activity/order", "keep=request_id")],
    "erasePerson": [("manage/erase", "wait")],
    "rebuildAudience": [("manage/rebuild", "keep=job_id")],
}
# What an example takes from an answer above, instead of what its event has, and from which.
_FROM_ABOVE = {"request_id": "the 202 of an event", "job_id": "the 202 that began a job"}
_LINE = 110

_HEAD = """# API reference

Made by `python -m openapi.reference` from the document that your API serves at `/openapi.json`; do not edit it here.

{introduction}

The examples are those of `events/`. They run against `make run`, one after the other:

```sh
url=http://127.0.0.1:8000
```

Every route may also be answered by the gateway with 429 (too many requests at once) or 503, as `{{"message": …}}`, and
with 500 where we are at fault; after 429, 500 and 503 send the request again.

"""


def text() -> str:
    document = json.loads(DOCUMENT.read_text())
    lines = [_HEAD.format(introduction=document["info"]["description"])]
    routes = [(path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()]
    for tag in document["tags"]:
        lines.append(f"- [{tag['name']}](#{_slug(tag['name'])})\n")
        for path, method, operation in routes:
            if tag["name"] in operation["tags"]:
                lines.append(
                    f"  - [`{method.upper()} {path}`](#{_slug(operation['summary'])}): {operation['summary']}\n"
                )
    lines.append("- [Shapes](#shapes)\n")
    for tag in document["tags"]:
        lines.append(f"\n## {tag['name']}\n")
        for path, method, operation in routes:
            if tag["name"] in operation["tags"]:
                lines += _route(path, method, operation)
    lines.append("\n## Shapes\n")
    for name, schema in document["components"]["schemas"].items():
        if name in _shown(document):
            lines += _shape(name, schema)
    return "".join(lines)


def _route(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"\n### {operation['summary']}\n\n`{method.upper()} {path}`\n\n"
    if operation.get("description"):
        yield f"{operation['description']}\n\n"
    yield f"{_key(operation)}\n"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "\n| Parameter | In | Type | |\n|---|---|---|---|\n"
        for one in parameters:
            yield f"| `{one['name']}` | {one['in']} | {_type(one['schema'])} | {_cell(one['description'])} |\n"
    body = operation.get("requestBody")
    if body:
        schema = body["content"]["application/json"]["schema"]
        yield f"\nBody: {_type(schema)}\n" if "$ref" in schema else f"\nBody: {schema.get('description', '')}\n"
        if "$ref" not in schema:
            yield from _fields(schema)
    yield "\n| Answer | | |\n|---|---|---|\n"
    for status, answer in operation["responses"].items():
        if status in ("429", "500", "503"):
            continue
        shapes = [_type(content["schema"]) for content in answer.get("content", {}).values()]
        yield f"| {status} | {_cell(answer['description'])} | {' or '.join(shapes)} |\n"
    for event, options in EXAMPLES.get(operation["operationId"]) or [_first(method, path)]:
        command = _curl(event)
        for name, where in _FROM_ABOVE.items():
            if f"${name}" in command:
                yield f"\n`${name}` is the one of {where}, above.\n"
        yield f"\n```sh{f' {options}' if options else ''}\n{command}\n```\n"


def _key(operation: dict[str, Any]) -> str:
    if not operation["security"]:
        return "No key."
    ingest = operation["operationId"] in (
        "submitOrder", "editOrder", "deleteOrder", "recordActivity", "recordActivities",
    )  # fmt: skip
    ways = "Basic with the key as user name, or Bearer" if len(operation["security"]) > 1 else "Bearer"
    return f"Key: `{'ingest` or `admin' if ingest else 'admin'}`. {ways}."


# ------------------------------------------------------------------ examples


def _first(method: str, path: str) -> tuple[str, str]:
    """The first event of a route. What reads is asked until the queue has done what came before."""
    for file in sorted(EVENTS.glob("*/*.json")):
        event = json.loads(file.read_text())
        name = f"{file.parent.name}/{file.stem}"
        if event.get("routeKey", "").replace("+}", "}") == f"{method.upper()} {path}" and file.stem != "invalid":
            return name, "" if method == "post" and file.parent.name != "read" else "wait"
    raise LookupError(f"no event of {method.upper()} {path}")


def _curl(name: str) -> str:
    event = json.loads((EVENTS / f"{name}.json").read_text())
    method, headers = event["requestContext"]["http"]["method"], event["headers"]
    address = "$url" + quote(event["rawPath"], safe="/@")
    for parameter, value in event.get("pathParameters", {}).items():
        if parameter in _FROM_ABOVE:
            address = address.replace(value, f"${parameter}")
    if event["rawQueryString"]:
        address += f"?{event['rawQueryString']}"
    words = ["curl -s"]
    if method not in ("GET", "POST") or (method == "POST" and "body" not in event):
        words.append(f"-X {method}")
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        words.append(f"-u {b64decode(secret).decode()}")
    words.append(f'"{address}"' if "?" in address or "&" in address else address)
    if scheme == "Bearer":
        words.append(f"-H 'Authorization: Bearer {secret}'")
    if "idempotency-key" in headers:
        words.append(f"-H 'Idempotency-Key: {headers['idempotency-key']}'")
    if "body" in event:
        words.append(f"-H 'Content-Type: application/json' -d {shlex.quote(_body(event['body']))}")
    return " ".join(words)


def _body(text: str) -> str:
    """On one line where it fits, else a line for each field and for each entry of a list."""
    body = json.loads(text, parse_float=_Number)
    whole = _written(body)
    if len(whole) <= _LINE:
        return whole
    fields = []
    for name, value in body.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            entries = ",\n    ".join(map(_written, value))
            fields.append(f"{json.dumps(name)}: [\n    {entries}\n  ]")
        else:
            fields.append(f"{json.dumps(name)}: {_written(value)}")
    return "{\n  " + ",\n  ".join(fields) + "\n}"


class _Number(str):
    """A number as it is written in the event."""

    __slots__ = ()


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return str(value) if isinstance(value, _Number) else json.dumps(value, ensure_ascii=False)


# -------------------------------------------------------------------- shapes


def _shown(document: dict[str, Any]) -> set[str]:
    """Shapes with a table of their own; the others are named in words where they stand."""
    return set(document["components"]["schemas"]) - {"OpenApi", "Currency", "Country"}


def _shape(name: str, schema: Schema) -> Iterator[str]:
    yield f"\n### {name}\n\n{schema.get('description', '')}\n"
    if name == "OrderChange":
        yield "\nThe fields of [Order](#order) without `order_id`, each optional.\n"
    else:
        yield from _fields(schema)
    together = [f"`{one['required'][0]}`" for one in schema.get("anyOf", []) if one.get("required")]
    if together:
        yield f"\nAt least one of {', '.join(together)} is needed.\n"
    other = schema.get("not", {})
    names = other.get("required") or [one["required"][0] for one in other.get("allOf", [])]
    if names:
        yield f"\n{' and '.join(f'`{one}`' for one in names)} are not sent together.\n"


def _fields(schema: Schema) -> Iterator[str]:
    if not schema.get("properties"):
        return
    asked = schema.get("additionalProperties") is not False
    yield f"\n| Field | Type | {'Required | ' if asked else ''}|\n|---|---|{'---|' if asked else ''}---|\n"
    for name, one in schema["properties"].items():
        required = f"{'yes' if name in schema.get('required', []) else ''} | " if asked else ""
        yield f"| `{name}` | {_type(one)} | {required}{_cell(one.get('description', ''))} |\n"


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        plain = {"Currency": "ISO 4217 code", "Country": "ISO 3166 code", "OpenApi": "object"}
        return plain.get(name) or f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(one) for one in schema["anyOf"] if one != {"const": ""}))
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(one)}`" for one in schema["enum"])
    kinds = schema.get("type", "any")
    names = [_one(kind, schema) for kind in (kinds if isinstance(kinds, list) else [kinds])]
    return " or ".join(names)


def _one(kind: str, schema: Schema) -> str:
    if kind == "array":
        items = schema.get("items", {})
        of = _type(items) if "$ref" in items or items.get("type") not in (None, "object") else "objects"
        of = f"objects of {', '.join(f'`{name}`' for name in items['properties'])}" if "properties" in items else of
        return f"list of {of}"
    if kind == "object" and "properties" in schema:
        return f"object of {', '.join(f'`{name}`' for name in schema['properties'])}"
    if kind == "string":
        form = {"date-time": "date-time", "date": "date", "uuid": "UUID"}.get(schema.get("format", ""))
        if form:
            return form
        if "multipleOf" in schema:
            return "numeric string"
        if "maxLength" in schema:
            return f"string, at most {schema['maxLength']:,}"
        if schema.get("pattern", "").endswith("{64}$"):
            return "64 hexadecimal digits"
        if schema.get("pattern", "").startswith("^-?[0-9]+"):
            return "decimal, as a string"
    return kind


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _slug(heading: str) -> str:
    kept = "".join(one for one in heading.lower() if one.isalnum() or one in " -_")
    return kept.replace(" ", "-")


def write() -> None:
    TARGET.write_text(text())


if __name__ == "__main__":
    write()
