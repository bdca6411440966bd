"""The local stack as a whole: what it deploys, what it keeps, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from local import stack as stack_module
from local.deploy import DeployError
from local.reload import Reloader
from local.seed import ACCOUNT, ADMIN_KEY, seed
from local.snapshots import Snapshots, newest
from local.stack import ROOT, PortTaken, Stack
from tests.local.conftest import PROJECT, Client

linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")


def eventually(check: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.02)
    return check()


def test_a_queued_message_is_processed_at_once(client: Client) -> None:
    """If the queue were polled once a second, a message right after another one would wait for nearly a second.

    One message, after the first, that waits at most half a second is enough, since a busy machine may delay any.
    """
    delays: list[float] = []
    while not delays or min(delays[1:], default=1.0) > 0.5:
        assert len(delays) < 60, delays
        key = f"m{len(delays)}"
        sent = float(client("POST", "/do/queue", key).body)
        assert eventually(lambda key=key: client("POST", "/do/get", key).json is not None)  # type: ignore[misc]
        delays.append(float(client("POST", "/do/get", key).json["at"]["N"]) - sent)


def test_batches_have_the_size_in_the_template_and_may_fail_in_part(client: Client) -> None:
    sqs, queue = client.stack.boto3_client("sqs"), client.stack.outputs["QueueUrl"]
    entries = [{"Id": str(n), "MessageBody": f"batch{n}"} for n in range(5)]
    sqs.send_message_batch(QueueUrl=queue, Entries=[*entries, {"Id": "f", "MessageBody": "failing"}])

    def waiting() -> dict[str, str]:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found: dict[str, str] = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return found

    # The message that failed is still in the queue, invisible for its visibility time-out.
    assert eventually(lambda: list(waiting().values()) == ["0", "1"]), waiting()
    sizes = {int(client("POST", "/do/get", f"batch{n}").json["batch"]["N"]) for n in range(5)}
    assert max(sizes) <= 5
    assert client("POST", "/do/get", "failing").json is None


def test_slow_batches_run_concurrently(client: Client) -> None:
    """A parameter of the template, which local.stack.PARAMETERS sets to "4", limits their number.

    The queue's poller needs the limit as a number, not as a text.
    """
    functions = client.stack.boto3_client("lambda")
    (mapping,) = functions.list_event_source_mappings()["EventSourceMappings"]
    assert mapping["ScalingConfig"] == {"MaximumConcurrency": 4}
    bodies = [f"held {number}" for number in range(3)]
    try:
        for body in bodies:
            client("POST", "/do/queue", body)
            # It has begun although none of the earlier ones has ended.
            assert eventually(lambda body=body: client("POST", "/do/get", f"{body} has begun").json is not None)  # type: ignore[misc]
        assert [client("POST", "/do/get", body).json for body in bodies] == [None] * 3
    finally:
        client("POST", "/do/count", "let go")
    assert eventually(lambda: all(client("POST", "/do/get", body).json for body in bodies))


def test_functions_may_do_what_the_template_allows_and_no_more(client: Client) -> None:
    assert client("POST", "/do/get", "x").status == 200
    assert client("POST", "/do/delete", "x").status == 500
    assert "AccessDenied" in client.failures[-1][1]


def test_logs_of_all_functions_can_be_read(client: Client) -> None:
    client("POST", "/do/answer", '"find me"')
    # A function's output may arrive a moment after its answer.
    assert eventually(lambda: 'asked for "find me"' in client.stack.logs())


def test_functions_do_not_get_the_environment_of_the_machine(client: Client) -> None:
    environment = client("POST", "/do/environment").json
    assert os.environ["SHOP_SECRET"]
    assert not environment.keys() & {"SHOP_SECRET", "PYTHONPATH", "HOME"}
    assert environment["TABLE"] == client.stack.outputs["TableName"]
    assert environment["AWS_ENDPOINT_URL"] == client.stack.endpoint_url


def test_edited_code_and_template_are_served_without_a_restart(
    project: Callable[[], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    template = project()
    layer = template.parent / "layers" / "shared" / "greeting" / "__init__.py"
    app = template.parent / "functions" / "echo" / "app.py"
    with Stack(template=template) as stack, Reloader(stack):
        client = Client(stack)
        assert client("GET", "/items/1").json["greeting"] == "hello"
        table = stack.outputs["TableName"]

        layer.write_text('WORD = "good morning"\n')
        assert eventually(lambda: client("GET", "/items/1").json.get("greeting") == "good morning")

        app.write_text(app.read_text().replace('"greeting": WORD', '"greeting": WORD.upper()'))
        assert eventually(lambda: client("GET", "/items/1").json.get("greeting") == "GOOD MORNING")

        whole = template.read_text()
        template.write_text(whole.replace("Resources:", "Resources: ["))
        assert eventually(lambda: "Not reloaded" in capsys.readouterr().out)
        assert client("GET", "/items/1").status == 200

        # On MiniStack, a call during an update fails.
        route = "GET /parts/{part}"
        template.write_text(whole.replace("/items/{id}/parts/{part}", "/parts/{part}"))
        assert eventually(lambda: client("GET", "/parts/1").json.get("event", {}).get("routeKey") == route)
        assert stack.outputs["TableName"] == table

        # The front door also calls a function that did not exist when it opened.
        whole = template.read_text()
        template.write_text(whole.replace("  Echo:", "  Echo2:"))
        assert eventually(lambda: client("GET", "/items/1").status == 200 and "Echo2" in stack.resources)
        assert eventually(lambda: "Reloaded template.yaml" in capsys.readouterr().out)


def kill(stack: Stack) -> None:
    """Kills MiniStack and its functions, as a power cut would."""
    process = stack.aws._process
    assert process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def snapshot(state: Path) -> int:
    """The number of the last complete snapshot; 0 before the first."""
    last = newest(state / "snapshots")
    return int(last.name) if last else 0


def wait_for_a_quiet_second(state: Path) -> None:
    """Waits until the snapshots stay the same for three seconds.

    By then a second has passed without requests, after which local/snapshots.py makes a snapshot, and it is complete.
    """
    settled_since, last = time.monotonic(), 0

    def is_settled() -> bool:
        nonlocal settled_since, last
        number, is_partial = snapshot(state), any((state / "snapshots").glob("*.partial"))
        if is_partial or not number or number != last:
            settled_since, last = time.monotonic(), number
        return time.monotonic() - settled_since > 3

    assert eventually(is_settled)


def test_state_is_kept_over_a_clean_restart(tmp_path: Path) -> None:
    template = PROJECT / "template.yaml"
    with Stack(template=template, state=tmp_path) as stack:
        client = Client(stack)
        client("POST", "/do/queue", "kept")
        assert eventually(lambda: client("POST", "/do/get", "kept").json is not None)
        outputs = stack.outputs
        # This message is being processed when the stack stops.
        client("POST", "/do/queue", "slow")
        assert eventually(lambda: client("POST", "/do/get", "slow has begun").json is not None)
    with Stack(template=template, state=tmp_path) as stack:
        client = Client(stack)
        assert stack.outputs == outputs
        assert client("POST", "/do/get", "kept").json["pk"] == {"S": "kept"}
        # It is processed from the beginning, and at once: the restart ended its visibility time-out.
        assert eventually(lambda: client("POST", "/do/get", "slow").json is not None)
        client("POST", "/do/queue", "new")
        assert eventually(lambda: client("POST", "/do/get", "new").json is not None)


@pytest.mark.parametrize(
    ("moment", "delay_seconds"), [("at once", 3), ("after a quiet second", 8), ("without a quiet second", 15)]
)
def test_acknowledged_writes_survive_a_kill(tmp_path: Path, moment: str, delay_seconds: int) -> None:
    """Checks a stored item, and a queued message, whose delay of `delay_seconds` ends after the kill."""
    template = PROJECT / "template.yaml"
    with Stack(template=template, state=tmp_path) as stack:
        client = Client(stack)
        client("POST", "/do/queue", "stored")
        assert eventually(lambda: client("POST", "/do/get", "stored").json is not None)
        queue = {"QueueUrl": stack.outputs["QueueUrl"], "MessageBody": "queued", "DelaySeconds": delay_seconds}
        stack.boto3_client("sqs").send_message(**queue)
        if moment == "after a quiet second":
            wait_for_a_quiet_second(tmp_path)
            # The snapshot has all writes, so the journal that follows it is empty.
            assert (newest(tmp_path / "snapshots") or tmp_path).with_suffix(".journal").read_bytes() == b""
        elif moment == "without a quiet second":
            # Requests follow each other without a pause until there are two more snapshots.
            before = snapshot(tmp_path)
            assert eventually(lambda: client("POST", "/do/get", "x").status == 200 and snapshot(tmp_path) > before + 1)
        kill(stack)
    with Stack(template=template, state=tmp_path) as stack:
        client = Client(stack)
        assert client("POST", "/do/get", "stored").json["pk"] == {"S": "stored"}
        assert eventually(lambda: client("POST", "/do/get", "queued").json is not None)


def test_accepted_orders_survive_a_kill(tmp_path: Path) -> None:
    orders = [
        {"provider": "my_shop", "email": "ann@example.com", "action": "placed", "order_id": f"o-{number}",
         "grand_total": 1, "occurred_at": "2026-01-01T00:00:00Z"}
        for number in range(200)
    ]  # fmt: skip
    v1 = {"order_id": "v-1", "order_date": "2026-01-01", "customer_email": "ann@example.com", "total": 50}
    with Stack(state=tmp_path) as stack:
        seed(stack)
        client = partial(Client(stack), authorization=f"Bearer {ADMIN_KEY}")
        sent = client("POST", f"/v3/{ACCOUNT}/shopper_activity/order/batch", json.dumps({"orders": orders}))
        submitted = client("POST", "/v1/order", json.dumps(v1))
        assert (sent.status, submitted.status) == (202, 201)
        kill(stack)
    with Stack(state=tmp_path) as stack:
        client = partial(Client(stack), authorization=f"Bearer {ADMIN_KEY}")

        def person() -> dict[str, Any]:
            found: dict[str, Any] = client("GET", f"/v3/{ACCOUNT}/people/ann@example.com").json
            return found

        assert eventually(lambda: person().get("orders_count") == 201), person()
        assert person()["lifetime_value"] == {"USD": "250.00"}  # 200 × 1 + 50


def test_the_last_complete_snapshot_is_loaded(tmp_path: Path) -> None:
    for name in ("9", "10", "11.partial"):
        (tmp_path / name).mkdir()
    assert newest(tmp_path) == tmp_path / "10"
    assert newest(tmp_path / "nothing") is None


def test_journals_are_replayed_from_the_last_snapshot_on(tmp_path: Path) -> None:
    """Journals are replayed in order, without a line that was cut short."""
    (tmp_path / "3").mkdir()
    for number in (2, 3, 4):
        line = {"service": "sqs", "target": "AmazonSQS.SendMessage", "body": f"of {number}"}
        (tmp_path / f"{number}.journal").write_text(json.dumps(line) + "\n" + '{"service": "sq')
    replayed: list[bytes] = []

    async def handle(_method: str, _path: str, _headers: dict[str, str], body: bytes, _query: object) -> None:
        replayed.append(body)

    snapshots = Snapshots(tmp_path)
    snapshots._handlers["sqs"] = handle
    snapshots._replay()
    assert replayed == [b"of 3", b"of 4"]


def test_a_template_that_cannot_be_deployed_says_why_and_leaves_nothing(project: Callable[[], Path]) -> None:
    template = project()
    template.write_text(template.read_text().replace("AWS::SQS::Queue", "AWS::SQS::Nothing"))
    with pytest.raises(DeployError, match="Nothing"), Stack(template=template):
        pass
    assert not running(str(template.parent))


def test_a_taken_port_is_reported_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken), Stack(port):
            pass
        result = subprocess.run(
            [sys.executable, "-m", "local", "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert result.returncode == 1
    assert result.stderr == f"Port {port} is taken; choose another: make run PORT={port + 1}\n"


@pytest.mark.parametrize("port", ["80000", "65536", "-1", "http", "", "8000.5", "\u0668"])
def test_an_invalid_port_is_reported_in_one_line(port: str) -> None:
    result = _local(f"--port={port}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"PORT must be a number from 0 to 65535, not {port!r}: make run PORT=8001\n"


def test_a_state_that_is_no_directory_is_reported_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for state in (file, file / "below"):
        result = _local(f"--state={state}")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith(f"STATE must be a directory that can be written: {state}: ")
        assert result.stderr.count("\n") == 1


def _local(option: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local", option], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def test_a_port_that_cannot_be_used_is_reported_with_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(error: OSError) -> None:
        def bind(*_: object) -> None:
            raise error

        monkeypatch.setattr(socket.socket, "bind", bind)

    refuse(OSError())
    with pytest.raises(PortTaken, match="Port 65535 is taken; choose another: make run PORT=8001"):
        stack_module._listen(65535)
    refuse(PermissionError())
    with pytest.raises(PortTaken, match="Port 80 needs root's rights; choose another: make run PORT=8001"):
        stack_module._listen(80)


SERVE = """
import sys, pathlib
from local.stack import Stack
with Stack(template=pathlib.Path(sys.argv[1])) as stack:
    print(stack.url, stack.aws.port, stack.directory, flush=True)
    sys.stdin.read()
"""


def running(*words: str) -> list[str]:
    """The command lines of all other processes that contain one of the words."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if any(word in command for word in words) and entry.parent.name != str(os.getpid()):
            found.append(command)
    return found


def free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@linux
def test_no_process_outlives_a_killed_stack() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(PROJECT / "template.yaml")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    url, aws_port, directory = process.stdout.readline().split()
    port = int(url.rsplit(":", 1)[1])
    with ThreadPoolExecutor() as threads:
        # A function is in the middle of a call.
        threads.submit(urlopen, f"{url}/do/sleep", data=b"2")
        assert eventually(lambda: bool(running(directory)))
        process.kill()
        process.wait()
    assert eventually(lambda: not running(directory))
    assert eventually(lambda: free(port) and free(int(aws_port)))


@contextmanager
def make_run(port: int, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        ["make", "run", f"PORT={port}", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # As in a terminal, where Ctrl-C signals the whole process group.
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(process: subprocess.Popen[str], word: str) -> str:
    """The output up to the first line with `word`. Raises AssertionError if the process ends without it."""
    assert process.stdout
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return seen
    raise AssertionError(seen)


@linux
@pytest.mark.parametrize("ending", ["terminal", "supervisor"])
def test_make_run_sends_the_examples_serves_and_leaves_nothing_behind(ending: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with make_run(port) as process:
        output = until(process, "until Ctrl-C")
        assert process.stdout
        log = output.rsplit("(log: ", 1)[1].split(")")[0]
        assert "22.99 USD" in output
        assert "Placed an order" in output
        if ending == "terminal":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.terminate()
        rest = process.stdout.read()
        process.wait(timeout=120)
    assert "Traceback" not in rest
    directory = str(Path(log).parent)
    assert not Path(directory).exists()
    assert eventually(lambda: not running(directory)), running(directory)
    assert free(port)
