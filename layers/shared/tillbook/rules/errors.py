"""Errors that requests are answered with. Each API has its own format for them (web.answers)."""

from __future__ import annotations

from typing import NamedTuple


class FieldError(NamedTuple):
    """One error in one field. `field` is a path (`items[0].price`), empty for the whole body.

    `code` is one of presence_error, email_error, format_error, time_error, range_error, length_error;
    `message` is a predicate that reads after the field's name ("is required").
    """

    field: str
    code: str
    message: str


class Problem(Exception):
    """An error that is answered to the caller, with its message, which must contain no internals or personal data."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str = "Something went wrong on our side.") -> None:
        super().__init__(message)
        self.message = message


class Invalid(Problem):
    """One or more invalid fields. The status is 400 in v1, 422 in v3."""

    status = 422
    code = "validation_error"

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__("; ".join(f"{e.field or 'body'} {e.message}" for e in errors))
        self.errors = errors


class Malformed(Problem):
    """A body or a parameter that cannot be parsed."""

    status = 400
    code = "format_error"

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Unauthenticated(Problem):
    status = 401
    code = "authentication_error"


class Forbidden(Problem):
    status = 403
    code = "authorization_error"


class NotFound(Problem):
    status = 404
    code = "not_found_error"


class MethodNotAllowed(Problem):
    status = 405
    code = "method_not_allowed_error"

    def __init__(self, allow: str) -> None:
        super().__init__(f"This address answers {allow} only.")
        self.allow = allow


class Conflict(Problem):
    status = 409
    code = "conflict_error"


class TooLarge(Problem):
    status = 413
    code = "length_error"


class UnsupportedType(Problem):
    status = 415
    code = "format_error"


class Unavailable(Problem):
    """A temporary failure. The caller should try again: nothing was changed, or a repeat is safe."""

    status = 503
    code = "unavailable_error"
