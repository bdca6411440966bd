"""Which scope of an account's source is current, and which people were erased.

A purge begins a new generation of its source; what was received up to its `cut` belongs to none. An erasure takes what
names its person and was received up to its cut. Both are one conditional write, and are answered only when the write
was acknowledged before its cut and the cut has passed (commit wait). So whoever holds something that was received after
a cut, and reads the mark then, sees it; and nothing that is received after the answer is up to the cut.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tillbook.aws.items import raw, record_of
from tillbook.aws.reads import batch_get
from tillbook.aws.retries import error_code, is_passing
from tillbook.ledger.items import SOURCE_LETTER, SOURCES, Scope
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import Source

COMMIT_WAIT_SECONDS = 1.0  # longer than clocks differ and a write takes, as a rule
# A: marks a purge with cut 1, the write is late   B: marks one with cut 2, which is acknowledged
# A's write arrives -> refused: a cut never goes back.
CUT_IS_LATER = "attribute_not_exists(cut) OR cut < :cut"
# A: answers a purge with cut 1   B: answers one with cut 2   A's write arrives after B's -> refused.
ANSWER_IS_LATER = "attribute_not_exists(answered) OR answered < :cut"
_ERASURE_SECONDS = 30 * 24 * 3600  # longer than the queue keeps a message


class Mark(NamedTuple):
    """The purges of a source.

    Key: `{account}/u`, `{o|s}`.

    Attributes:
        generation: of the current scope. cut: what was received up to it (a stamp) is purged.
        answered: the cut of the last purge whose mark was acknowledged in time.
        swept: generations below it are deleted.
    """

    generation: int = 0
    cut: str = ""
    answered: str = ""
    swept: int = 0


class Erasure(NamedTuple):
    """The erasures of a person.

    Key: `{account}/u`, `p{person id}`.

    Attributes:
        cut: what names them and was received up to it (a stamp) is erased. ttl: 30 days after the last of them.
    """

    cut: str = ""
    ttl: int = 0


class Marks(NamedTuple):
    """The marks of one account, as far as they were asked for."""

    account: str
    sources: Mapping[str, Mark]
    people: Mapping[str, str]  # our own id -> cut

    def scope(self, source: Source) -> Scope:
        return Scope(self.account, source, self.sources[source].generation)

    def scopes(self) -> list[Scope]:
        return [self.scope(source) for source in SOURCES]

    def purged(self, source: str, received: str) -> bool:
        return received <= self.sources[source].cut

    def erased(self, person: str, received: str) -> bool:
        return received <= self.people.get(person, "")


class Scopes:
    def __init__(self, client: Any, table: str) -> None:
        self.client, self.table = client, table

    def read(self, account: str, people: Iterable[str] = (), sources: Iterable[Source] = SOURCES) -> Marks:
        """Consistently. Never to be kept longer than an invocation or a request. Raises Unavailable."""
        names = [*(SOURCE_LETTER[s] for s in sources), *(f"p{person}" for person in sorted(set(people)))]
        items = {i["sk"]: i for i in batch_get(self.client, self.table, [self._key(account, n) for n in names])}
        found: dict[str, Mark] = {source: record_of(Mark, items.get(SOURCE_LETTER[source], {})) for source in sources}
        return Marks(account, found, {name[1:]: item["cut"] for name, item in items.items() if name[0] == "p"})

    def purge(self, account: str, sources: Iterable[Source], deadline: float) -> str:
        """Begins a new generation of each. Returns the cut when it has passed. Raises Unavailable.

        `deadline` in seconds of time.monotonic().
        """
        letters = [SOURCE_LETTER[source] for source in sources]
        begin = "SET cut = :cut ADD generation :one"
        cut = self._mark(account, letters, begin, {":one": 1}, deadline)
        # Where this is not written the job purges again: the mark may have come so late that others missed it.
        for letter in letters:
            while not self._update(account, letter, "SET answered = :cut", {":cut": cut}, ANSWER_IS_LATER):
                self._check_time(deadline)
        return cut

    def erase(self, account: str, people: Iterable[str], deadline: float) -> str:
        """As `purge`, of people by our own id."""
        ttl = int(time.time()) + _ERASURE_SECONDS
        return self._mark(
            account, [f"p{one}" for one in people], "SET cut = :cut, #ttl = :ttl", {":ttl": ttl}, deadline
        )

    def _mark(self, account: str, names: list[str], update: str, values: dict[str, Any], deadline: float) -> str:
        while True:
            cut = times.shift(times.now(), seconds=COMMIT_WAIT_SECONDS)
            written = [self._update(account, name, update, values | {":cut": cut}, CUT_IS_LATER) for name in names]
            if all(written) and times.now() < cut:
                times.wait_until(cut)
                return cut
            self._check_time(deadline)

    def _check_time(self, deadline: float) -> None:
        if time.monotonic() > deadline - 2 * COMMIT_WAIT_SECONDS:
            raise Unavailable("It could not be begun in time. Please try again.")

    def _update(self, account: str, name: str, update: str, values: dict[str, Any], condition: str) -> bool:
        """Whether the mark is there: written now, or refused because a later answer is."""
        options: dict[str, Any] = {"ExpressionAttributeNames": {"#ttl": "ttl"}} if "#ttl" in update else {}
        try:
            self.client.update_item(
                TableName=self.table, Key=self._key(account, name), UpdateExpression=update,
                ConditionExpression=condition, ExpressionAttributeValues=raw(values), **options,
            )  # fmt: skip
        except Exception as error:
            if error_code(error) == "ConditionalCheckFailedException":
                return condition == ANSWER_IS_LATER
            if not is_passing(error):
                raise
            return False
        return True

    def swept(self, account: str, source: Source, generation: int) -> None:
        """Generations below it are deleted. May go back where two jobs end: then they are looked at once more."""
        self.client.update_item(
            TableName=self.table, Key=self._key(account, SOURCE_LETTER[source]),
            UpdateExpression="SET swept = :generation", ExpressionAttributeValues=raw({":generation": generation}),
        )  # fmt: skip

    @staticmethod
    def _key(account: str, name: str) -> Any:
        return raw({"pk": f"{account}/u", "sk": name})
