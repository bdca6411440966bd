"""`tillbook purge`, `erase` and `jobs`: delete orders or people permanently, and show the progress of jobs."""

from __future__ import annotations

from time import sleep
from typing import Any

import click

from tillbook.rules.identity import SOURCES

from .api import Api, Refused, over_https, segment
from .output import REFUSED, fail, show

_POLL_SECONDS = 2.0  # between two reads of a job's state
_ENDED = ("done", "failed")

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
wait_option = click.option("--wait", is_flag=True, help="Wait until the job ends. Exit code 1 if it failed.")


@click.command()
@click.option("--source", type=click.Choice(SOURCES), help="Purge only orders of this API.  [both]")
@yes_option
@wait_option
@over_https
def purge(api: Api, source: str | None, yes: bool, wait: bool) -> None:
    """Delete all orders of the key's account, with activities, lifetime values and audience records.

    This cannot be undone. Settings and keys are kept. As soon as Tillbook accepts the purge, nothing that
    was received before it is visible or counts. A job then deletes the data.

    \b
    Example:
      tillbook purge --source orders_api --local
    """
    account = api.account()
    if not yes:
        what = f"every order of {source or 'both APIs'}"
        typed = click.prompt(f"This deletes {what} of account {account}. Type {account} to continue", err=True)
        if typed.strip() != account:
            raise Refused("Nothing was purged.")
    body = {"confirm": "purge"} | ({"source": source} if source else {})
    _show_job(api, api.call("DELETE", "/v1/transactions", body), wait)


@click.command()
@click.argument("id_or_email")
@yes_option
@wait_option
@over_https
def erase(api: Api, id_or_email: str, yes: bool, wait: bool) -> None:
    """Delete a person: activity, orders, lifetime value, audience records, dead letters, and events still queued.

    This cannot be undone. ID_OR_EMAIL is Tillbook's own id, a person_id, an e-mail address, its SHA-256 or a
    customer_id. A customer who is known by several of these is stored as several persons: erase each of them.

    \b
    Example:
      tillbook erase ann@example.com --local
    """
    path = f"/v3/{segment(api.account())}/people/{segment(id_or_email)}"
    if not yes:
        click.echo(_description(api, path), err=True)
        if not click.confirm("Erase this person?", err=True):
            raise Refused("Nobody was erased.")
    _show_job(api, api.call("DELETE", path), wait)


def _description(api: Api, path: str) -> str:
    """A line about the person to erase."""
    try:
        person = api.get(path)
    except Refused as refused:
        if refused.status != 404:
            raise
        return "No customer found for this identifier. Queued events or dead letters may still name the person."
    values = ", ".join(f"{amount} {currency}" for currency, amount in person["lifetime_value"].items())
    return f"{person['id']}: {person['orders_count']} orders, lifetime value {values or 'none'}"


@click.command()
@click.argument("job_id")
@wait_option
@over_https
def jobs(api: Api, job_id: str, wait: bool) -> None:
    """Show the progress of the job JOB_ID: a purge, an erasure or a rebuild.

    \b
    Example:
      tillbook jobs 0199c1f2-7a3e-7cc0-8a51-3a4f5b6c7d8e --wait --local
    """
    _show_job(api, {"job_id": job_id}, wait, fresh=True)


def _show_job(api: Api, job: Any, wait: bool, *, fresh: bool = False) -> None:
    """Shows a job as given; with `fresh`, its current state; with `wait`, its final state."""
    path = f"/v1/jobs/{segment(api.part(job, 'job_id', str))}"
    while wait or fresh:
        job, fresh = api.get(path), False
        if api.part(job, "status", str) in _ENDED:
            break
        if wait:
            sleep(_POLL_SECONDS)
    show(job, api.as_json)
    if wait and job["status"] == "failed":
        fail(f"The job failed: {job['error'].rstrip('.')}. It is safe to start the job again.", REFUSED, api.as_json)
