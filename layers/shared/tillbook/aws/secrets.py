"""Secrets for which storing a hash is not enough: SecureString parameters under `/tillbook/{stack}/`.

Systems Manager encrypts them with its AWS managed key. Storing and reading them is free of charge.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Secrets:
    client: Any
    stack_name: str

    def get(self, name: str) -> str | None:
        """Returns the secret, or None if it does not exist."""
        try:
            answer = self.client.get_parameter(Name=self._full(name), WithDecryption=True)
        except self.client.exceptions.ParameterNotFound:
            return None
        return str(answer["Parameter"]["Value"])

    def put(self, name: str, value: str, *, overwrite: bool = True) -> None:
        """Stores a secret. With `overwrite=False` an existing value remains."""
        try:
            self.client.put_parameter(Name=self._full(name), Value=value, Type="SecureString", Overwrite=overwrite)
        except self.client.exceptions.ParameterAlreadyExists:
            if overwrite:
                raise

    def delete(self, names: Sequence[str]) -> None:
        """Deletes secrets; those that do not exist are skipped."""
        for name in names:
            with suppress(self.client.exceptions.ParameterNotFound):
                self.client.delete_parameter(Name=self._full(name))

    def _full(self, name: str) -> str:
        return f"/tillbook/{self.stack_name}/{name}"
