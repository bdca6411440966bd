"""A model of a standard queue, the event source mapping that polls it, and functions that take time.

SQS treats a message group as noisy if it has at least 30 messages in flight, and more than a tenth of all in flight;
messages of other groups are then delivered first. These thresholds are approximate. SQS has another threshold, by the
share of processing time, which this model omits (Amazon SQS Developer Guide, "How Amazon SQS fair queues work").
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from dataclasses import dataclass

NOISY_SHARE, NOISY_MESSAGES = 0.1, 30


@dataclass(frozen=True, slots=True)
class Message:
    """A message. `orders`: the number of orders in it. `sent`: the time in seconds."""

    account: str
    orders: int
    sent: float


@dataclass(frozen=True, slots=True)
class Workers:
    """`concurrency` functions, which take up to `batch` messages each. A transaction of up to `together` orders takes
    `seconds`."""

    concurrency: int
    batch: int
    together: int
    seconds: float


def waits(messages: list[Message], workers: Workers, *, fair: bool) -> dict[str, float]:
    """The longest wait of each account, in seconds, from the sending of a message until its orders are applied.

    A function takes the accounts of its batch in turns, as work/processing.py does: one transaction of each at a time.
    The messages of an account in a batch count as applied together, after the last of these transactions.
    """
    arriving = deque(sorted(messages, key=lambda message: message.sent))
    waiting: dict[str, deque[Message]] = {}
    in_flight: Counter[str] = Counter()
    running: list[tuple[float, int, list[Message]]] = []  # (end in seconds, number of the invocation, batch)
    found: dict[str, float] = {}
    now, number = 0.0, 0
    while arriving or running or any(waiting.values()):
        while arriving and arriving[0].sent <= now:
            waiting.setdefault(arriving[0].account, deque()).append(arriving.popleft())
        while any(waiting.values()) and len(running) < workers.concurrency:
            batch = _receive(waiting, in_flight, workers.batch, fair)
            end = now
            for account, seconds in _ends(batch, workers):
                end = now + seconds
                sent = min(message.sent for message in batch if message.account == account)
                found[account] = max(found.get(account, 0.0), end - sent)
            number += 1
            heapq.heappush(running, (end, number, batch))
        next_times = [arriving[0].sent] if arriving else []
        next_times += [running[0][0]] if running else []
        if not next_times:
            break
        now = max(now, min(next_times))
        while running and running[0][0] <= now:
            for message in heapq.heappop(running)[2]:
                in_flight[message.account] -= 1
    return found


def _receive(waiting: dict[str, deque[Message]], in_flight: Counter[str], most: int, fair: bool) -> list[Message]:
    """Moves up to `most` messages from `waiting` to `in_flight`, the oldest first; in a fair queue, those of groups
    that are not noisy before all others. Returns the messages."""
    batch: list[Message] = []
    while len(batch) < most and any(waiting.values()):
        all_in_flight = sum(in_flight.values())
        noisy = {a for a, n in in_flight.items() if n >= NOISY_MESSAGES and n > NOISY_SHARE * all_in_flight}
        accounts = [account for account, messages in waiting.items() if messages]
        quiet = [account for account in accounts if account not in noisy]
        chosen = min(quiet if fair and quiet else accounts, key=lambda account: waiting[account][0].sent)
        batch.append(waiting[chosen].popleft())
        in_flight[chosen] += 1
    return batch


def _ends(batch: list[Message], workers: Workers) -> list[tuple[str, float]]:
    """Each account with the seconds after which all of its orders in the batch are applied."""
    left: dict[str, int] = {}
    for message in batch:
        left[message.account] = left.get(message.account, 0) + message.orders
    seconds, ended = 0.0, []
    while left:
        for account in list(left):
            seconds += workers.seconds
            left[account] -= workers.together
            if left[account] <= 0:
                del left[account]
                ended.append((account, seconds))
    return ended
