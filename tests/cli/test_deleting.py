"""tillbook purge, erase and jobs: the confirmation, the job in the answer, and waiting for its end."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner

from cli.tillbook_cli import deleting
from cli.tillbook_cli.api import Answer, Api
from cli.tillbook_cli.main import tillbook
from tests.cli.conftest import Ran

JOB = {"job_id": "0199", "kind": "purge", "status": "queued", "done": 0, "total": 7, "error": None}
PERSON = {"id": "a1b2", "orders_count": 3, "lifetime_value": {"EUR": "5.00", "USD": "105.00"}}


@dataclass
class Server:
    """A fake API. Each read of the job takes the first of `job_states`. `person` None: no person is known."""

    person: dict[str, Any] | None = field(default_factory=lambda: dict(PERSON))
    job_states: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str, Any]] = field(default_factory=list)

    def send(self, _api: Api, method: str, path: str, body: bytes | None = None) -> Answer:
        self.requests.append((method, path, json.loads(body) if body else None))
        if path == "/v1/account":
            return _answer(200, {"account_id": "acme"})
        if method == "DELETE":
            return _answer(202, {"job_id": "0199"})
        if path == "/v1/jobs/0199":
            return _answer(200, self.job_states.pop(0))
        if path == "/v1/jobs/none":
            return _answer(404, {"error": {"name": "NotFound", "message": "There is no such job."}})
        return _answer(200, self.person) if self.person else _answer(404, {"errors": [{"message": "Nobody."}]})

    @property
    def deleted(self) -> list[tuple[str, Any]]:
        return [(path, body) for method, path, body in self.requests if method == "DELETE"]


def _answer(status: int, shape: Any) -> Answer:
    return Answer(status, {}, json.dumps(shape).encode())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    fake = Server()
    monkeypatch.setattr(Api, "send", lambda api, *rest: fake.send(api, *rest))
    monkeypatch.setattr(deleting, "sleep", lambda _seconds: None)
    return fake


def run(*words: str, typed: str = "") -> Ran:
    where = ("--url", "https://api.example", "--key", "tb_test")
    result = CliRunner().invoke(tillbook, [*words, *where], input=typed)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def test_a_purge_needs_confirmation(server: Server) -> None:
    assert run("purge", typed="other\n").code == 1
    assert run("purge", typed="").code == 1
    assert server.deleted == []
    ran = run("purge", "--source", "orders_api", typed="acme\n")
    assert ran.code == 0
    assert "every order of orders_api of account acme" in ran.err
    assert server.deleted == [("/v1/transactions", {"confirm": "purge", "source": "orders_api"})]
    assert ran.out.startswith("job id  0199\n")


def test_yes_skips_the_confirmation(server: Server) -> None:
    ran = run("purge", "--yes", "--json")
    assert (ran.code, ran.json, ran.err) == (0, {"job_id": "0199"}, "")
    assert server.deleted == [("/v1/transactions", {"confirm": "purge"})]


def test_the_person_to_erase_is_shown_first(server: Server) -> None:
    ran = run("erase", "ann@example.com", typed="n\n")
    assert (ran.code, server.deleted) == (1, [])
    assert "a1b2: 3 orders, lifetime value 5.00 EUR, 105.00 USD" in ran.err
    assert run("erase", "ann@example.com", typed="y\n").code == 0
    assert server.deleted == [("/v3/acme/people/ann%40example.com", None)]


def test_an_unknown_person_can_be_erased(server: Server) -> None:
    server.person = None
    ran = run("erase", "ann@example.com", typed="y\n")
    assert ran.code == 0
    assert "No customer found for this identifier." in ran.err
    assert len(server.deleted) == 1


def test_wait_polls_a_job_until_its_end(server: Server) -> None:
    server.job_states = [JOB, JOB | {"status": "running", "done": 3}, JOB | {"status": "done", "done": 7}]
    ran = run("erase", "a1b2", "--yes", "--wait", "--json")
    assert (ran.code, ran.json["status"], server.job_states) == (0, "done", [])


def test_a_failed_job_exits_with_1(server: Server) -> None:
    server.job_states = [JOB | {"status": "failed", "error": "a page failed"}]
    ran = run("purge", "--yes", "--wait")
    assert ran.code == 1
    assert ran.err == "Error: The job failed: a page failed. It is safe to start the job again.\n"


def test_jobs_shows_the_current_state_of_a_job(server: Server) -> None:
    server.job_states = [JOB | {"status": "running"}]
    ran = run("jobs", "0199", "--json")
    assert (ran.code, ran.json["status"]) == (0, "running")
    assert run("jobs", "none") == Ran(1, "", "Error: There is no such job.\n")
