"""Runs histories: the code of handlers, ledger and processing runs over the store, and any call may meet a fault.

In a history, each request is sent in a task of its own (`functions.py`). Messages of the queues are delivered to
workers in random batches, reordered and repeated; so are the changes of the ledger to KeepBook. Each call to DynamoDB
or SQS takes some virtual time, so tasks interleave at every call, and each call may meet a fault (`network.py`). After
the last request the faults end, the queues and the stream drain, dead letters are replayed, and the tables
(`snapshot.py`, `ending.py`) are compared with the auditor's books. After each write, the LTV and counts of all people
that it changed are compared with the sums over their orders (`invariants.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from tests.simulation.auditor import audit
from tests.simulation.deployment import JOBS_QUEUE_URL
from tests.simulation.ending import Ending
from tests.simulation.functions import Functions
from tests.simulation.histories import History, history
from tests.simulation.invariants import Broken
from tests.simulation.network import Network
from tests.simulation.scheduler import Task
from tests.simulation.seams import Seams
from tests.simulation.world import World
from tillbook.records import messages

# Messages that check the progress of jobs, one every 15 minutes. A job without progress fails before the last of them.
_WATCHES = 36
_JOBS = ("rebuild", "purge", "erase")


@dataclass(frozen=True, slots=True)
class Failure:
    """`wrong`: descriptions of what is wrong. `fired`: the injected faults; `without`: faults that were left out."""

    plan: History
    wrong: list[str]
    fired: list[str]
    without: frozenset[str]

    def __str__(self) -> str:
        steps = sorted(self.plan.steps, key=lambda step: step.at)
        lines = [f"seed {self.plan.seed}:", *(f"  {line}" for text in self.wrong for line in text.splitlines())]
        lines += [f"in {len(steps)} steps:", *(f"  {step}" for step in steps)]
        return "\n".join([*lines, f"with {len(self.fired)} faults:", *(f"  {place}" for place in self.fired)])


class Run:
    """Runs one history. `without`: places of faults that are not injected, to find a failing one with fewer faults."""

    def __init__(self, seams: Seams, plan: History, without: frozenset[str] = frozenset()) -> None:
        self.plan = plan
        self.world = seams.world = World(plan)
        self.network = seams.network = Network(self.world, without)
        self.functions = seams.functions = Functions(self.world, self.network)
        self.ending = Ending(self.world, self.functions, self.network)
        seams.limit(plan)

    def run(self) -> list[str]:
        """Runs the history. Returns descriptions of what is wrong."""
        plan, world, ending = self.plan, self.world, self.ending
        try:
            for step in plan.steps:
                task = Task(f"step {step.id}", lambda step=step: self.functions.client(step))  # type: ignore[misc]
                task.random = Random(plan.seed * 1_000_003 + step.id)
                world.scheduler.at(step.at, task)
            # The faults end long after the last request, so that retries meet them, too.
            last = max(step.at for step in plan.steps)
            world.scheduler.at(last + 2000, self._end_faults)
            if any(step.kind in _JOBS for step in plan.steps):
                for number in range(_WATCHES):
                    world.scheduler.at(last + 2100 + number * 900, self._watch_jobs)
            world.scheduler.run()
            if lost := ending.lost():
                return lost
            world.alone("replay", ending.replay_dead_letters)
            if world.sqs.messages or world.sqs.dead_letters or world.jobs_sqs.messages or world.stream.left():
                return ["messages are left in the queue, or changes in the stream"]
            purges = ending.purges()
            seen = ending.seen()
            read = (lambda books: ending.differences(books, seen)) if plan.reads else (lambda books: [])
            return ending.effects() or audit(ending.events(), ending.calls(), purges, seen, read)
        except Broken as broken:
            return [str(broken)]

    def _end_faults(self) -> None:
        self.world.faults_on = False

    def _watch_jobs(self) -> None:
        """Sends the message of the schedule JobsWatch (template.yaml)."""
        self.world.jobs_sqs.send_message(
            QueueUrl=JOBS_QUEUE_URL, MessageBody=messages.encode(messages.Message(watch=[" "]))
        )


# ----------------------------------------------------------------- failures


def simulate(seed: int, seams: Seams) -> Failure | None:
    """Runs the history of a seed. Returns its failure, not shortened; None if nothing is wrong."""
    plan = history(seed)
    run = Run(seams, plan)
    wrong = run.run()
    return Failure(plan, wrong, run.world.fired, frozenset()) if wrong else None


def shortened(failure: Failure, seams: Seams, tries: int = 500) -> Failure:
    """Removes steps, single orders from batches, and faults, as long as the history still fails, in any way.

    Runs the history at most `tries` times.
    """
    best, left = failure, tries

    def attempt(plan: History, without: frozenset[str]) -> bool:
        nonlocal best, left
        if left <= 0 or not plan.steps:
            return False
        left -= 1
        run = Run(seams, plan, without)
        wrong = run.run()
        if wrong:
            best = Failure(plan, wrong, run.world.fired, without)
        return bool(wrong)

    # First without functions that are cut off, then without messages that are delivered again, then without any fault.
    attempt(replace(best.plan, short_lives=0.0), best.without)
    attempt(replace(best.plan, again=0.0), best.without)
    attempt(best.plan, best.without | set(best.fired))
    progress = True
    while progress and left > 0:
        progress = False
        size = max(1, len(best.plan.steps) // 2)
        while size:
            at = 0
            while at < len(best.plan.steps):
                steps = best.plan.steps
                if attempt(replace(best.plan, steps=steps[:at] + steps[at + size :]), best.without):
                    progress = True
                else:
                    at += size
            size //= 2
        for place in list(best.fired):
            progress = attempt(best.plan, best.without | {place}) or progress
        for step in list(best.plan.steps):
            for body in step.bodies if step.kind == "batch" and len(step.bodies) > 1 else ():
                current = next((s for s in best.plan.steps if s.id == step.id), step)
                fewer = replace(current, bodies=tuple(b for b in current.bodies if b is not body))
                steps = [fewer if s.id == step.id else s for s in best.plan.steps]
                progress = (bool(fewer.bodies) and attempt(replace(best.plan, steps=steps), best.without)) or progress
    return best


def trace(failure: Failure, seams: Seams) -> list[str]:
    """Runs a failure again. Returns a description of each of its calls, in order."""
    run = Run(seams, failure.plan, failure.without)
    run.network.trace = []
    run.run()
    return run.network.trace
