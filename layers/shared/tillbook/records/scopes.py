"""The current scope of each source of an account, and the erased people.

A purge starts a new generation of its source, and removes everything received up to its `cut`. An erasure removes
everything that names its person and was received up to its cut. Each is one conditional write of a mark, with a cut in
the near future. The caller gets the answer only if the write was acknowledged before the cut, and only after the cut
has passed (commit wait). Hence a function that receives something after a cut, and then reads the mark, sees the cut.
Anything received after the answer is later than the cut.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from tillbook.aws.items import raw, record_of
from tillbook.aws.reads import batch_get
from tillbook.aws.retries import is_transient
from tillbook.aws.writes import write_if
from tillbook.ledger.items import Scope
from tillbook.rules import times
from tillbook.rules.errors import Unavailable
from tillbook.rules.identity import SOURCE_LETTER, SOURCES, Source

COMMIT_WAIT_SECONDS = 1.0  # usually longer than a write and the difference between clocks
# A: marks a purge with cut 1, and the write is late   B: marks a purge with cut 2, which is acknowledged
# A's write arrives -> refused: a cut never moves back.
CUT_IS_LATER = "attribute_not_exists(cut) OR cut < :cut"
# A: answers a purge with cut 1   B: answers a purge with cut 2   A's write arrives after B's -> refused.
ANSWER_IS_LATER = "attribute_not_exists(answered) OR answered < :cut"
_ERASURE_SECONDS = 30 * 24 * 3600  # longer than the queue keeps a message


class Mark(NamedTuple):
    """The purges of a source.

    Key: `{account}/u`, `{o|s}`.

    Attributes:
        generation: generation of the current scope. cut: a stamp; everything received up to it is purged.
        answered: the cut of the last purge whose mark was acknowledged in time.
        swept: all generations before this one are deleted.
    """

    generation: int = 0
    cut: str = ""
    answered: str = ""
    swept: int = 0


class Erasure(NamedTuple):
    """The erasures of a person.

    Key: `{account}/u`, `p{person id}`.

    Attributes:
        cut: a stamp; everything received up to it that names the person is erased.
        ttl: 30 days after the last erasure.
    """

    cut: str = ""
    ttl: int = 0


class Marks(NamedTuple):
    """The marks of one account, for those sources and people that were asked for."""

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
        """Reads marks consistently. They must be used in the same request or invocation only. Raises Unavailable."""
        names = [*(SOURCE_LETTER[s] for s in sources), *(f"p{person}" for person in sorted(set(people)))]
        items = {i["sk"]: i for i in batch_get(self.client, self.table, [self._key(account, n) for n in names])}
        found: dict[str, Mark] = {source: record_of(Mark, items.get(SOURCE_LETTER[source], {})) for source in sources}
        return Marks(account, found, {name[1:]: item["cut"] for name, item in items.items() if name[0] == "p"})

    def purge(self, account: str, sources: Iterable[Source], deadline: float) -> str:
        """Starts a new generation of each source. Waits until the cut has passed and returns it. Raises Unavailable.

        `deadline` is in seconds of time.monotonic().
        """
        letters = [SOURCE_LETTER[source] for source in sources]
        begin = "SET cut = :cut ADD generation :one"
        cut = self._mark(account, letters, begin, {":one": 1}, deadline)
        # Without this write the job purges again, since other functions may have missed a mark that was late.
        for letter in letters:
            while not self._update(account, letter, "SET answered = :cut", {":cut": cut}, ANSWER_IS_LATER):
                self._check_time(deadline)
        return cut

    def erase(self, account: str, people: Iterable[str], deadline: float) -> str:
        """Marks people (our own ids) as erased. Waits until the cut has passed and returns it. Raises Unavailable."""
        ttl = int(time.time()) + _ERASURE_SECONDS
        return self._mark(
            account, [f"p{one}" for one in people], "SET cut = :cut, #ttl = :ttl", {":ttl": ttl}, deadline
        )

    def repeat(self, account: str, name: str, cut: str) -> None:
        """Writes a mark again after the tables were restored to a moment before it. A later mark remains unchanged.

        `name` is the letter of a source for a purge, or `p` and our own id of the person for an erasure.
        """
        values: dict[str, Any]
        if name in SOURCE_LETTER.values():
            update, values = "SET cut = :cut, answered = :cut ADD generation :one", {":cut": cut, ":one": 1}
        else:
            update, values = "SET cut = :cut, #ttl = :ttl", {":cut": cut, ":ttl": int(time.time()) + _ERASURE_SECONDS}
        options: dict[str, Any] = {"ExpressionAttributeNames": {"#ttl": "ttl"}} if "#ttl" in update else {}
        write_if(
            self.client.update_item,
            TableName=self.table,
            Key=self._key(account, name),
            UpdateExpression=update,
            ConditionExpression=CUT_IS_LATER,
            ExpressionAttributeValues=raw(values),
            **options,
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
            raise Unavailable("The purge or erasure could not be started in time. Please try again.")

    def _update(self, account: str, name: str, update: str, values: dict[str, Any], condition: str) -> bool:
        """Writes a mark. Returns False if the condition fails, or after a temporary error.

        If ANSWER_IS_LATER fails, a later purge is answered already and the write is not needed, so it returns True.
        """
        options: dict[str, Any] = {"ExpressionAttributeNames": {"#ttl": "ttl"}} if "#ttl" in update else {}
        try:
            written = write_if(
                self.client.update_item,
                TableName=self.table,
                Key=self._key(account, name),
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=raw(values),
                **options,
            )
        except Exception as error:
            if not is_transient(error):
                raise
            return False
        return written or condition == ANSWER_IS_LATER

    def swept(self, account: str, source: Source, generation: int) -> None:
        """Notes that all generations before this one are deleted. If two jobs end at once, the number may decrease.

        This is harmless: a later purge then checks these generations again.
        """
        self.client.update_item(
            TableName=self.table,
            Key=self._key(account, SOURCE_LETTER[source]),
            UpdateExpression="SET swept = :generation",
            ExpressionAttributeValues=raw({":generation": generation}),
        )

    @staticmethod
    def _key(account: str, name: str) -> Any:
        return raw({"pk": f"{account}/u", "sk": name})
