"""Compares an answer with the one that the contract demands."""

from __future__ import annotations

import json
from typing import Any

from tests.hostile.payloads import MARKER
from tests.hostile.targets import Attack

_V1_NAMES = {
    400: "ValidationError", 404: "NotFound", 405: "MethodNotAllowed", 409: "Conflict", 413: "TooLarge",
    415: "UnsupportedMediaType",
}  # fmt: skip


def complaint(attack: Attack, status: int, headers: dict[str, str], text: str) -> str:
    """Describes the first difference from the contract; empty if there is none."""
    if attack.gateway and status in (400, 413, 431) and not text.startswith('{"err'):
        return ""  # the gateway refused the request, with a text of its own
    if status not in attack.statuses:
        return f"{status} instead of {sorted(attack.statuses)}: {text[:300]}"
    if attack.method == "HEAD" and not text:
        return ""
    try:
        body = json.loads(text)
    except ValueError:
        return f"the answer is no JSON: {text[:200]}"
    if status == 200:
        # Refused requests of earlier attacks may have named the same order.
        found = {entry["status"] for entry in body["transactions"]}
        return "" if found <= {"rejected"} else f"found something: {text[:200]}"
    if MARKER in text or "Traceback" in text or 'File "' in text:
        return f"discloses too much: {text[:300]}"
    if headers.get("content-type") != "application/json":
        return f"content type {headers.get('content-type')}"
    if status == 405 and not headers.get("allow"):
        return "405 without Allow"
    return _v1(attack, status, body) if attack.v1 or attack.path == "/v1" else _v3(attack, status, headers, body)


def _v1(attack: Attack, status: int, body: Any) -> str:
    if status == 403:
        return "" if body == {"error": "Unauthorized"} else f"not the form of a v1 refusal: {body}"
    error = body.get("error")
    if not isinstance(error, dict) or set(error) != {"name", "message", "details"}:
        return f"not the form of a v1 error: {body}"
    if error["name"] != _V1_NAMES[status] or not error["message"]:
        return f"the error is {error['name']}, not {_V1_NAMES[status]}"
    if attack.faults is None:
        return ""
    named = {detail["field"] or "" for detail in error["details"]}
    wanted = {fault.field for fault in attack.faults}
    return "" if named == wanted else f"names {sorted(named)} instead of {sorted(wanted)}"


def _v3(attack: Attack, status: int, headers: dict[str, str], body: Any) -> str:
    errors = body.get("errors")
    if not isinstance(errors, list) or not errors:
        return f"not the form of a v3 error: {body}"
    if not all({"code", "message"} <= set(error) and error["message"] for error in errors):
        return f"not the form of a v3 error: {body}"
    codes = {error["code"] for error in errors}
    if status == 401:
        is_right = codes == {"authentication_error"} and "www-authenticate" in headers
        return "" if is_right else f"401 with {codes}, {headers}"
    only_code = {403: "authorization_error", 404: "not_found_error", 413: "length_error", 415: "format_error",
                 400: "format_error", 405: "method_not_allowed_error"}  # fmt: skip
    if attack.faults is None:
        return "" if codes == {only_code[status]} else f"{status} with {codes}"
    named = {error.get("attribute") or "" for error in errors}
    wanted = {fault.field for fault in attack.faults}
    if named != wanted:
        return f"names {sorted(named)} instead of {sorted(wanted)}"
    pairs = {(error.get("attribute") or "", error["code"]) for error in errors}
    missing = {(fault.field, fault.code) for fault in attack.faults if fault.code} - pairs
    return f"lacks {sorted(missing)}: {sorted(pairs)}" if missing else ""
