"""The Transactions page in a real browser, on the stack of `make run`."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from local.stack import Stack
from tests.end_to_end.shop import Shop

selenium = pytest.importorskip("selenium", reason="the page was not tested: Selenium is not installed")

from tests.browser.chromium import AXE, CHROMIUM, DESKTOP, DRIVER, PHONE, Browser  # noqa: E402
from tillbook.records.deadletters import DeadLetters  # noqa: E402
from tillbook.records.keys import Keys  # noqa: E402
from tillbook.records.messages import Message, QueuedOrder  # noqa: E402
from tillbook.records.transactions import Transaction, Transactions  # noqa: E402
from tillbook.rules import times  # noqa: E402
from tillbook.rules.identity import email_sha256  # noqa: E402

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="the page was not tested: no Chromium and ChromeDriver here"),
    pytest.mark.skipif(
        not AXE.exists(), reason="the page was not tested: axe-core is not installed (cd tests/browser && npm ci)"
    ),
]

LOOKS_AGAIN_SECONDS = 1


@pytest.fixture
def shop(stack: Stack) -> Shop:
    return Shop.open(stack)


@pytest.fixture
def browser(stack: Stack) -> Iterator[Browser]:
    """What it asks for and complains about is checked after each test."""
    with Browser.open(stack.url) as opened:
        yield opened
        origins = {f"{p.scheme}://{p.netloc}" for p in map(urlsplit, opened.asked()) if p.scheme != "data"}
        assert origins <= {stack.url}
        assert opened.complaints() == []


@pytest.fixture
def inside(browser: Browser, shop: Shop) -> Browser:
    browser.sign_in(shop.admin_key)
    browser.says("Transactions")
    return browser


def _event(shop: Shop, order_id: str, **more: Any) -> dict[str, Any]:
    event = {"provider": "my_shop", "email": shop.email("ann"), "action": "placed", "order_id": order_id}
    return event | {"grand_total": "105"} | more


def _dead_letter(shop: Shop, order_id: str) -> None:
    """An order that could not be applied, by a cause that is gone now."""
    client, records = shop.stack.boto3_client("dynamodb"), shop.stack.outputs["RecordsTableName"]
    event = _event(shop, order_id)
    person = ["email", email_sha256(event.pop("email"))]
    event_id = hashlib.sha256(order_id.encode()).hexdigest()[:22]
    received = times.now()
    order = QueuedOrder(shop.account, times.uuid7(), received, 0, event_id, received, person, event)
    DeadLetters(client, records).keep(
        shop.account, order.request_id, "could not be applied (Mended)", Message(orders=[order])
    )
    failed = Transaction(
        shop.account, "shopper_activity", order.request_id, "failed", received, "placed", "my_shop", order_id, "Mended"
    )
    Transactions(client, records).record([failed, replace(failed)])


def _outcomes(shop: Shop, order_ids: list[str], status: str) -> None:
    """What became of so many requests that came in just now."""
    now, records = times.now(), shop.stack.outputs["RecordsTableName"]
    Transactions(shop.stack.boto3_client("dynamodb"), records).record(
        [
            Transaction(shop.account, "shopper_activity", times.uuid7(), status, now, "placed", "my_shop", order_id)
            for order_id in order_ids
        ]
    )


# ------------------------------------------------------------------ the door


def test_an_admin_key_opens_the_page_and_lives_in_the_tab_only(browser: Browser, shop: Shop) -> None:
    browser.sign_in(shop.admin_key)
    browser.says(f"Account {shop.account}")
    kept = browser.driver.execute_script(
        "return [JSON.stringify(localStorage), document.cookie, Object.values(sessionStorage).join()]"
    )
    assert kept == ["{}", "", shop.admin_key]
    assert shop.admin_key not in browser.driver.page_source
    assert not any(shop.admin_key in url for url in browser.asked() if url.startswith("http"))
    browser.go()  # the tab still knows it
    browser.says(f"Account {shop.account}")
    browser.click("#leave")
    browser.says("Sign in with an admin key")
    assert browser.driver.execute_script("return sessionStorage.length") == 0
    browser.asked()
    browser.go()


@pytest.mark.parametrize("kind", ["unknown", "ingest", "revoked"])
def test_no_other_key_opens_it(stack: Stack, shop: Shop, kind: str) -> None:
    key = {"unknown": "nobody's", "ingest": shop.ingest_key, "revoked": "revoked-1"}[kind]
    if kind == "revoked":
        keys = Keys(stack.boto3_client("dynamodb"), stack.outputs["RecordsTableName"])
        made, key = keys.create(shop.account, "admin")
        keys.revoke(shop.account, made.id)
    with Browser.open(stack.url) as browser:
        browser.sign_in(key)
        browser.says("unknown, revoked, or no admin key")
        assert browser.driver.execute_script("return sessionStorage.length") == 0
        assert all("403" in complaint for complaint in browser.complaints())


# ----------------------------------------------------------- what came in


def test_an_order_shows_by_itself_and_can_be_followed_to_its_person(inside: Browser, shop: Shop) -> None:
    inside.says("Nothing came in yet")
    shop.applied(_event(shop, "warm-up"))
    inside.says("warm-up")
    inside.note_pauses()
    shop.order(_event(shop, "A-1", occurred_at="2026-01-01T01:00:00Z"))
    inside.says("A-1")
    # How long its request and the queue take is the machine's: the page adds so much to it.
    assert set(inside.until(inside.pauses, "it does not look again")) == {LOOKS_AGAIN_SECONDS}
    shop.applied(_event(shop, "A-1", action="refunded", refund_amount=30, occurred_at="2026-01-01T03:00:00Z"))
    shop.applied(_event(shop, "A-1", action="updated", grand_total=110, occurred_at="2026-01-01T02:00:00Z"))
    inside.click("td a", "A-1")
    shown = inside.says("It counts: 80.00 USD")
    steps = [line for line in shown.splitlines() if "an order" in line and "USD" in line]
    assert [line.split("\t")[2] for line in steps] == ["+105.00 USD", "+5.00 USD", "−30.00 USD"]
    assert "late" in shown
    inside.click("dd a")
    shown = inside.says("185.00 USD")
    assert "Lifetime value in USD" in inside.says("Timeline")
    inside.click("details.numbers summary")
    assert "185.00" in inside.find("details.numbers tbody tr").text


def test_a_person_is_found_by_e_mail_which_does_not_stay_in_the_address(inside: Browser, shop: Shop) -> None:
    email = shop.email("find+me")
    shop.applied(_event(shop, "F-1", email=email))
    inside.type("#query", email)
    inside.click("#search button")
    inside.says("105.00 USD")
    assert "@" not in inside.driver.current_url
    assert quote(email) not in inside.driver.current_url
    asked = [url for url in inside.asked() if email in url or quote(email, safe="") in url]
    assert len(asked) == 1  # to our own API, whose logs hold no path


def test_an_e_mail_that_nobody_has_is_told_without_asking_for_another(inside: Browser, shop: Shop) -> None:
    shop.applied(_event(shop, "U-1", email=None, person_id="unknown"))
    inside.says("U-1")
    inside.type("#query", shop.email("nobody"))
    inside.click("#search button")
    inside.says("Nobody is known by that.")
    assert sum("/people/" in url for url in inside.asked()) == 1  # the search itself
    assert all("404" in complaint for complaint in inside.complaints())


def test_the_later_search_wins(inside: Browser, shop: Shop) -> None:
    for order_id in ("S-1", "S-2"):
        shop.applied(_event(shop, order_id))
    inside.hold("order_id=S-1&limit=1")
    for order_id in ("S-1", "S-2"):
        inside.type("#query", order_id)
        inside.click("#search button")
    inside.says("Order S-2")
    inside.release()
    inside.until(lambda: "order_id=S-1&limit=1" in str(inside.asked()), "the first search is not answered")
    time.sleep(0.5)
    assert "Order S-2" in inside.text


def test_a_rejected_request_shows_its_reason_and_what_to_do(inside: Browser, shop: Shop) -> None:
    assert shop.submit({"order_id": "R-1", "order_date": "soon", "total": 5}).status == 400
    inside.says("order_date")
    inside.type("#query", "R-1")
    inside.click("#search button")
    shown = inside.says("It does not count.")
    assert "Correct order_date" in shown


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"occurred_at": "2026-01-01T00:00:00Z"}, {"occurred_at": "2026-01-01T00:00:00Z"}, "an occurred_at of its own"),
        ({"key": "k"}, {"key": "k", "grand_total": 7}, "a key of its own"),
    ],
)
def test_the_page_tells_why_and_what_to_send(
    inside: Browser, shop: Shop, first: dict[str, Any], second: dict[str, Any], told: str
) -> None:
    for fields in (first, second):
        sent = dict(fields)
        key = sent.pop("key", None)
        headers = {"idempotency-key": key} if key else {}
        last = shop.order(_event(shop, "W-1", **sent), headers=headers).json["request_id"]
        shop.outcome(last)
    inside.type("#query", last)
    inside.click("#search button")
    inside.says(told)


def test_a_field_that_means_nothing_shows_as_a_note(inside: Browser, shop: Shop) -> None:
    order = {"order_id": "N-1", "order_date": "2026-01-01", "total": 5, "customer_email": shop.email("ann")}
    assert shop.submit(order | {"shiping_address": {"a": 1}}).status == 201
    inside.says("shiping_address was accepted but has no meaning here")


def test_an_order_counts_however_many_requests_came_after_it(inside: Browser, shop: Shop) -> None:
    shop.applied(_event(shop, "M-1"))
    _outcomes(shop, ["M-1"] * 230, "duplicate")
    inside.driver.execute_script("location.hash = '#/order/M-1'")
    shown = inside.says("It counts: 105.00 USD")
    assert "The latest are shown." in shown


def test_no_request_is_missing_however_many_come_at_once(inside: Browser, shop: Shop) -> None:
    _outcomes(shop, ["oldest"], "rejected")
    inside.says("oldest")
    inside.hold("/v1/transactions?")
    inside.until(inside.held, "the list is not asked for")
    _outcomes(shop, [f"I-{n}" for n in range(120)], "rejected")
    inside.release()
    inside.lacks("oldest")
    assert len(inside.all("tr[data-request]")) == 50
    for shown in (100, 121):
        inside.click("button", "Show older ones")
        inside.until(lambda shown=shown: len(inside.all("tr[data-request]")) == shown, f"not {shown} are shown")
    inside.lacks("Show older ones")
    orders = [link.text for link in inside.all("tr[data-request] td:nth-child(3) a")]
    assert sorted(orders) == sorted(["oldest", *(f"I-{n}" for n in range(120))])


def test_the_list_does_not_grow_with_what_comes_in(inside: Browser, shop: Shop) -> None:
    for n in range(4):
        _outcomes(shop, [f"L-{n}-{m}" for m in range(30)], "rejected")
        inside.says(f"L-{n}-29")
    assert len(inside.all("tr[data-request]")) == 50
    for shown in (100, 120):
        inside.click("button", "Show older ones")
        inside.until(lambda shown=shown: len(inside.all("tr[data-request]")) == shown, f"not {shown} are shown")
    assert "L-0-0" in inside.text


def test_what_comes_in_leaves_the_focus_where_it_is(inside: Browser, shop: Shop) -> None:
    _outcomes(shop, ["stays"], "rejected")
    inside.says("stays")
    inside.driver.execute_script("document.querySelector('tr[data-request] td:nth-child(3) a').focus()")
    _outcomes(shop, ["comes"], "rejected")
    inside.says("comes")
    assert inside.driver.switch_to.active_element.text == "stays"


def test_without_a_clipboard_it_says_what_to_do(inside: Browser) -> None:
    """As over plain HTTP from another machine."""
    inside.driver.execute_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    inside.click("details.curl summary")
    inside.click("details.curl button")
    inside.says("Select the text and copy it.")


# ----------------------------------------------------------------- upkeep


def test_a_dead_letter_is_replayed_and_counts(inside: Browser, shop: Shop) -> None:
    _dead_letter(shop, "D-1")
    inside.click("#nav a", "Dead letters")
    inside.says("could not be applied (Mended)")
    inside.click("button", "Replay")
    inside.says("No dead letters.")
    inside.type("#query", "D-1")
    inside.until(lambda: shop.ltv(shop.email("ann")) == {"USD": "105.00"}, "the order does not count")
    inside.click("#search button")
    inside.says("It counts: 105.00 USD")


def test_a_dead_letter_is_discarded_with_a_reason(inside: Browser, shop: Shop) -> None:
    _dead_letter(shop, "D-2")
    inside.click("#nav a", "Dead letters")
    inside.click("summary", "Discard")
    inside.type("input[placeholder='Why it is discarded']", "a test order")
    inside.click("button.danger")
    inside.says("No dead letters.")
    inside.click("#nav a", "Transactions")
    inside.says("discarded: a test order")


def test_older_dead_letters_that_cannot_be_read_are_said(inside: Browser, shop: Shop) -> None:
    for n in range(51):
        _dead_letter(shop, f"Z-{n}")
    inside.click("#nav a", "Dead letters")
    inside.says("Show older ones")
    inside.driver.execute_cdp_cmd("Network.enable", {})
    inside.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/deadletters*"]})
    inside.click("button", "Show older ones")
    inside.says("cannot be reached")
    inside.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    inside.click("button", "Show older ones")
    inside.says("Z-0")
    assert all("ERR_BLOCKED" in complaint for complaint in inside.complaints())


def test_an_audience_is_rebuilt_with_its_progress_shown(inside: Browser, shop: Shop) -> None:
    shop.applied(_event(shop, "B-1", shipping_address={"address_1": "1 Main St", "postal_code": "10001"}))
    inside.click("#nav a", "Audiences")
    inside.says("Customers (Shopper Activity)")
    inside.click("section[aria-label='Customers (Shopper Activity)'] button", "Rebuild")
    inside.says("Done: 1.")
    inside.click("section[aria-label='Customers (Shopper Activity)'] button", "Show members")
    inside.says("10001")


def test_a_purge_needs_its_word_and_empties_the_page(inside: Browser, shop: Shop) -> None:
    shop.applied(_event(shop, "P-1"))
    inside.says("P-1")
    inside.click("#nav a", "Purge")
    assert not inside.find("button.danger").is_enabled()
    inside.type("#word", "purg")
    assert not inside.find("button.danger").is_enabled()
    inside.type("#word", "purge")
    inside.click("button.danger")
    inside.find("progress")
    inside.says("Done:")
    inside.click("#nav a", "Transactions")
    inside.says("Nothing came in yet.")
    assert shop.send("GET", shop.person_path(shop.email("ann"))).status == 404


def test_a_person_is_erased_by_their_word(inside: Browser, shop: Shop) -> None:
    shop.applied(_event(shop, "E-1"))
    person = shop.send("GET", shop.person_path(shop.email("ann"))).json["id"]
    inside.go(f"/#/person/{person}")
    inside.click("summary", "Erase this person")
    inside.type("#word", "erase")
    inside.click("button.danger")
    inside.says("Done:")
    assert shop.send("GET", shop.person_path(shop.email("ann"))).status == 404


def test_a_person_whom_only_a_dead_letter_names_is_erased(inside: Browser, shop: Shop) -> None:
    _dead_letter(shop, "E-2")
    inside.click("#nav a", "People")
    inside.type("#person", shop.email("ann"))
    inside.click("#main form button", "Find")
    inside.says("Nobody is known by that.")
    inside.click("summary", "Erase this person")
    inside.type("#word", "erase")
    inside.click("button.danger")
    inside.says("Done:")
    inside.click("#nav a", "Dead letters")
    inside.says("No dead letters.")
    assert all("404" in complaint for complaint in inside.complaints())


def test_what_a_person_s_page_waits_for_does_not_come_into_the_next_person_s(inside: Browser, shop: Shop) -> None:
    people = []
    for name in ("ann", "bea"):
        shop.applied(_event(shop, f"O-{name}", email=shop.email(name)))
        people.append(shop.person(shop.email(name))["id"])
    inside.hold(f"{people[0]}/activity")
    inside.driver.execute_script("location.hash = `#/person/${arguments[0]}`", people[0])
    inside.until(inside.held, "the timeline is not asked for")
    inside.driver.execute_script("location.hash = `#/person/${arguments[0]}`", people[1])
    inside.says("O-bea")
    inside.release()
    inside.until(lambda: f"{people[0]}/orders" in str(inside.asked()), "the timeline is not gone on with")
    time.sleep(0.5)
    assert len(inside.all("#word")) == 1


def test_older_activity_is_shown_once(inside: Browser, shop: Shop) -> None:
    events = [_event(shop, f"T-{n}", occurred_at=f"2026-01-01T00:{n // 60:02}:{n % 60:02}Z") for n in range(205)]
    for n in range(0, 205, 41):
        assert shop.batch(events[n : n + 41]).status == 202
    inside.until(lambda: shop.person(shop.email("ann"))["orders_count"] == 205, "not all are applied")
    inside.driver.execute_script("location.hash = `#/person/${arguments[0]}`", shop.person(shop.email("ann"))["id"])
    inside.says("Show older ones")
    inside.hold("cursor=")
    inside.click("button", "Show older ones")
    inside.driver.execute_script("document.querySelector('.timeline + button').click()")
    inside.release()
    inside.lacks("Show older ones")
    assert len(inside.all(".timeline li")) == 205


def test_growth_is_that_of_the_sources_that_count(stack: Stack) -> None:
    shop = Shop.open(stack, sources=("orders_api",))
    order = {"order_id": "G-1", "order_date": "2026-01-01", "total": 100, "customer_email": shop.email("ann")}
    assert shop.submit(order).status == 201
    shop.applied(_event(shop, "G-2", grand_total=100))
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.says("G-2")
        browser.go(f"/#/person/{shop.person(shop.email('ann'))['id']}")
        browser.click("details.numbers summary")
        assert [row.text.split()[-1] for row in browser.all("details.numbers tbody tr")] == ["100.00"]


def test_a_key_that_is_revoked_meanwhile_ends_at_the_door(stack: Stack, shop: Shop) -> None:
    """The functions' minute of memory is not waited for: the tab is given a key that never was one."""
    with Browser.open(stack.url) as browser:
        browser.sign_in(shop.admin_key)
        browser.says("Transactions")
        browser.driver.execute_script("sessionStorage.setItem('tillbook.key', 'gone')")
        browser.says("The key works no longer")


def test_what_a_shop_sends_is_never_markup(inside: Browser, shop: Shop) -> None:
    order_id = "<img src=x onerror=alert(1)>"
    shop.applied(_event(shop, order_id, note="<script>alert(1)</script>"))
    inside.says(order_id)
    inside.click("td a", order_id)
    inside.says("It counts")
    assert not inside.all("#main img, #main script")


def test_an_api_that_does_not_answer_is_said_and_left_again(inside: Browser, shop: Shop) -> None:
    inside.says("Nothing came in yet")
    inside.driver.execute_cdp_cmd("Network.enable", {})
    inside.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/v1/transactions*"]})
    inside.says("cannot be reached")
    inside.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    inside.says("Live")
    assert all("ERR_BLOCKED" in complaint for complaint in inside.complaints())


# ------------------------------------------------------- for everybody


@pytest.mark.parametrize(("size", "dark"), [(DESKTOP, False), (DESKTOP, True), (PHONE, False), (PHONE, True)])
def test_axe_finds_no_serious_barrier_and_nothing_is_wider_than_the_screen(
    stack: Stack, shop: Shop, size: tuple[int, int], dark: bool
) -> None:
    shop.applied(_event(shop, "X-1", occurred_at="2026-01-01T00:00:00Z"))
    shop.applied(_event(shop, "X-1", action="paid", occurred_at="2026-01-02T00:00:00Z"))
    shop.order(_event(shop, "X-1", occurred_at="2026-01-01T00:00:00Z"))
    shop.submit({"order_id": "X-2", "order_date": "soon"})
    _dead_letter(shop, "X-3")
    person = shop.send("GET", shop.person_path(shop.email("ann"))).json["id"]
    views = {
        "/": "X-1", "/#/order/X-1": "It counts", "/#/order/nothing": "No request", "/#/people": "Find",
        f"/#/person/{person}": "Timeline", "/#/audiences": "Rebuild", "/#/deadletters": "Replay", "/#/purge": "Purge",
    }  # fmt: skip
    with Browser.open(stack.url, size, dark=dark) as browser:
        browser.go()
        found = {"/signin": browser.barriers()}
        browser.sign_in(shop.admin_key)
        browser.says("X-1")
        for path, text in views.items():
            browser.go(path)
            browser.says(text)
            found[path] = browser.barriers()
            wide, screen = browser.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
            assert wide <= screen, path
        assert {path: faults for path, faults in found.items() if faults} == {}
        assert browser.complaints() == []


def test_the_keyboard_reaches_and_works_everything(inside: Browser, shop: Shop) -> None:
    shop.applied(_event(shop, "K-1"))
    inside.says("K-1")
    for _ in range(60):
        inside.driver.switch_to.active_element.send_keys("\ue004")  # Tab
        element = inside.driver.switch_to.active_element
        if element.text == "K-1":
            element.send_keys("\ue007")  # Enter
            break
    inside.says("It counts: 105.00 USD")


def test_the_keyboard_skips_to_the_content_of_the_view(inside: Browser) -> None:
    inside.click("#nav a", "Purge")
    inside.says("Type purge to confirm")
    inside.driver.execute_script("document.querySelector('.skip').focus()")
    inside.driver.switch_to.active_element.send_keys("\ue007")  # Enter
    assert inside.driver.switch_to.active_element.get_attribute("id") == "main"
    assert inside.driver.current_url.endswith("#/purge")
    inside.says("Type purge to confirm")
