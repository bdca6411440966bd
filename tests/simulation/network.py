"""The simulated network: each call to AWS takes virtual time, in which other tasks run, and may meet a fault."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from tests.simulation.errors import cancelled, client_error
from tests.simulation.expressions import Unknown
from tests.simulation.invariants import Broken
from tests.simulation.queues import Queues
from tests.simulation.scheduler import Killed, Task
from tests.simulation.world import World

# A history that makes more calls is taken for an endless loop.
_MAX_CALLS = 80_000
# The faults that a call may meet; the likelier ones are listed more than once. `Network._faulty` implements them:
# killed, killed after  the function is killed before or after the call takes effect
# timeout, lost, late   a time-out: the call takes no effect, took effect, or takes effect later
# throttled, server, conflict, in progress  an error of the service
# slow, twice           the call takes long; botocore makes it twice
# cut                   a query returns a shorter page
# part, stuck           a batch is accepted in part; neither it nor the next batches are accepted
_READ = ("killed", "timeout", "throttled", "server", "slow")
_WRITE = (*_READ, "killed after", "lost", "lost")
_SEND = ("killed", "killed after", "lost", "timeout", "late", "throttled", "twice", "slow")
_FAULTS: dict[str, tuple[str, ...]] = {
    "transact_write_items": (*_WRITE, "killed after", "lost", "late", "conflict", "conflict", "in progress"),
    "get_item": _READ,
    "batch_get_item": _READ,
    "query": (*_READ, "cut", "cut", "cut"),
    "put_item": (*_WRITE, "late"),
    "update_item": (*_WRITE, "late"),
    "delete_item": _WRITE,
    "batch_write_item": (*_WRITE, "late", "part", "stuck"),
    "send_message": _SEND,
    "send_message_batch": (*_SEND, "part", "stuck"),
}


class _Client:
    """A botocore client whose every call passes through the simulated network."""

    def __init__(self, network: Network, target: Any, operations: Iterable[str]) -> None:
        for operation in operations:
            call = getattr(target, operation)
            setattr(self, operation, _through(network, operation, call))


def _through(network: Network, operation: str, call: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **arguments: network.call(operation, call, arguments)


def _shown(value: Any) -> str:
    """Formats arguments and answers for the trace, without DynamoDB's types and without binary values."""
    if isinstance(value, dict):
        if len(value) == 1:
            ((kind, content),) = value.items()
            if kind in ("S", "N", "BOOL"):
                return str(content)
            if kind == "B":
                return "..."
        shown = ((k, _shown(v)) for k, v in value.items() if k not in ("TableName", "QueueUrl", "ResponseMetadata"))
        return "{" + ", ".join(f"{k}: {v}" for k, v in shown) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


def refuse_misuse(error: Exception) -> None:
    """Raises Broken for a request that DynamoDB would never accept: a bug of the code under test, not a fault."""
    code = (getattr(error, "response", None) or {}).get("Error", {}).get("Code")
    if code == "ValidationException":
        raise Broken(f"DynamoDB refuses this: {error}")


class Network:
    """The clients through which the code under test reaches the tables and queues of a world.

    `without`: places of faults that are not injected, to find a failing history with fewer faults. `trace`: None, or a
    list to which a description of every call is appended.
    """

    def __init__(self, world: World, without: frozenset[str]) -> None:
        self.world, self.without = world, without
        self.trace: list[str] | None = None
        self._total_calls = 0
        operations = [name for name in _FAULTS if hasattr(world.dynamodb, name)]
        queues = Queues(world.sqs, world.jobs_sqs)
        self.clients = {
            "dynamodb": _Client(self, world.dynamodb, operations),
            "sqs": _Client(self, queues, ("send_message", "send_message_batch")),
        }

    def call(self, operation: str, make: Callable[..., Any], arguments: dict[str, Any]) -> Any:
        """Pauses the task for the duration of the call, then makes it, with or without a fault."""
        scheduler = self.world.scheduler
        task = scheduler.current
        assert task is not None
        random = task.random
        task.calls += 1
        self._total_calls += 1
        if self._total_calls > _MAX_CALLS:
            raise Broken(f"the history makes more than {_MAX_CALLS:,} calls")
        fault = ""
        if task.stuck > 0 and operation.startswith(("batch_write", "send_message_batch")):
            task.stuck -= 1
            task.faults += 1
            fault = "none accepted"
        elif self.world.faults_on and random.random() < self.world.plan.faults * task.fault_factor:
            fault = random.choice(_FAULTS[operation])
            place = f"{task.name}, call {task.calls}: {operation} {fault}"
            if place in self.without:
                fault = ""
            else:
                task.faults += 1
                self.world.fired.append(place)
        if task.dialect is not None:  # the task runs another version of the code
            arguments = task.dialect(operation, arguments)
        long = random.random() < 0.1
        scheduler.pause(self.world.plan.spread * random.random() if long else 0.001 + 0.01 * random.random())
        try:
            if self.trace is not None:
                return self._traced(fault, operation, make, arguments, task)
            return self._faulty(fault, operation, make, arguments, random) if fault else make(**arguments)
        except ClientError as error:
            refuse_misuse(error)  # here, because the code under test may count the error as a failed try
            raise

    def _traced(
        self, fault: str, operation: str, make: Callable[..., Any], arguments: dict[str, Any], task: Task
    ) -> Any:
        assert self.trace is not None
        outcome: Any = ""
        at = len(self.trace)
        self.trace.append("")
        met = f" ({fault})" if fault else ""
        line = f"{self.world.scheduler.now:9.4f} {task.name:9} {operation}{met} {_shown(arguments)}"
        try:
            outcome = self._faulty(fault, operation, make, arguments, task.random) if fault else make(**arguments)
        except BaseException as error:
            outcome = repr(error)
            raise
        finally:
            self.trace[at] = f"{line}\n            -> {_shown(outcome)}"
        return outcome

    def _faulty(
        self, fault: str, operation: str, make: Callable[..., Any], arguments: dict[str, Any], random: Random
    ) -> Any:
        pause = self.world.scheduler.pause
        if fault == "killed":
            raise Killed
        if fault == "killed after":
            self._silently(make, arguments)
            raise Killed
        if fault == "lost":
            self._silently(make, arguments)
            pause(4 * random.random())
            raise ReadTimeoutError(endpoint_url="", error="lost")
        if fault == "timeout":
            pause(4 * random.random())
            raise ConnectTimeoutError(endpoint_url="", error="never sent")
        if fault == "late":
            # The call takes effect after the caller has stopped waiting.
            self.world.scheduler.at(
                self.world.scheduler.now + 4 * random.random(), lambda: self._silently(make, arguments)
            )
            if operation == "put_item":
                self.world.late.add((arguments["Item"]["pk"]["S"], arguments["Item"]["sk"]["S"]))
            pause(2 * random.random())
            raise ReadTimeoutError(endpoint_url="", error="late")
        if fault in ("throttled", "server", "in progress"):
            raise self._service_error(fault, operation, make, arguments, random)
        if fault == "slow":
            pause(8 * random.random())
            return make(**arguments)
        if fault == "twice":
            # botocore retried the call after a first try that took effect.
            self._silently(make, arguments)
            return make(**arguments)
        if fault == "conflict":
            raise cancelled(self._conflict(arguments["TransactItems"], random))
        if fault == "stuck":
            task = self.world.scheduler.current
            assert task is not None
            task.stuck = random.randint(1, 6)
            fault = "none accepted"
        if fault in ("part", "none accepted"):
            return self._part(operation, make, arguments, random if fault == "part" else None)
        if fault == "cut":
            answer = make(**arguments)
            if len(answer.get("Items", ())) > 1:
                return self.world.dynamodb.cut(answer, arguments, random.randint(1, len(answer["Items"]) - 1))
            return answer
        raise Unknown(fault)

    def _service_error(
        self, fault: str, operation: str, make: Callable[..., Any], arguments: dict[str, Any], random: Random
    ) -> ClientError:
        """An error that the service returns. The call may have taken effect, unless it was throttled."""
        if fault == "throttled":
            return client_error(
                random.choice(("ThrottlingException", "ProvisionedThroughputExceededException")), operation
            )
        if random.random() < 0.5:
            self._silently(make, arguments)
        if fault == "in progress":
            return client_error("TransactionInProgressException", operation)
        if random.random() < 0.5:  # a proxy in front of the service failed: botocore uses the HTTP status as the code
            return client_error("503", operation, ResponseMetadata={"HTTPStatusCode": 503})
        return client_error("InternalServerError", operation)

    def _silently(self, make: Callable[..., Any], arguments: dict[str, Any]) -> None:
        """Makes a call whose answer and error nobody receives."""
        try:
            make(**arguments)
        except Exception as error:
            refuse_misuse(error)

    def _conflict(self, actions: list[dict[str, Any]], random: Random) -> list[dict[str, Any]]:
        """Cancellation reasons of a transaction that meets conflicts or throttling on some of its items."""
        outcome = self.world.dynamodb.transaction(actions)
        reasons: list[dict[str, Any]] = [o if isinstance(o, dict) else {"Code": "None"} for o in outcome]
        for at in random.sample(range(len(actions)), random.randint(1, len(actions))):
            code = random.choice(
                ("TransactionConflict", "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded")
            )
            reasons[at] = {"Code": code, "Message": "mixed"}
        return reasons

    def _part(self, operation: str, make: Callable[..., Any], arguments: dict[str, Any], random: Random | None) -> Any:
        """Accepts a batch in part, or not at all if `random` is None."""
        if operation == "batch_write_item":
            ((name, requests),) = arguments["RequestItems"].items()
            count = random.randrange(len(requests)) if random else 0
            if count:
                make(RequestItems={name: requests[:count]})
            return {"UnprocessedItems": {name: requests[count:]}}
        entries = arguments["Entries"]
        accepted = [entry for entry in entries if random and random.random() < 0.5]
        answer = make(QueueUrl=arguments["QueueUrl"], Entries=accepted) if accepted else {"Successful": []}
        ids = {entry["Id"] for entry in accepted}
        return answer | {
            "Failed": [
                {"Id": e["Id"], "SenderFault": False, "Code": "InternalError"} for e in entries if e["Id"] not in ids
            ]
        }
