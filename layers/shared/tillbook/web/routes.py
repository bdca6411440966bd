"""Declares every route once: its role, parameters, body, answers, and documentation.

template.yaml assigns each route to a function. The functions, the `$default` function and the OpenAPI document use this
table. Models are named, not imported: those in `query` are in contract/queries.py, those in `body` in any module of
contract/, those in `answers` in openapi/answers.py.
"""

from __future__ import annotations

from typing import NamedTuple

V1, V3, READ, AUDIENCES, OPERATE = "Orders API", "Shopper activity", "People and orders", "Audiences", "Operating"
CONNECT, REPORTS, SETTINGS, EVENTS = "Connections", "Reports", "Settings", "Events"


class Route(NamedTuple):
    """A route. `answers`: the shape of each success, by status. `refuses`: errors besides those of every route."""

    name: str
    tag: str
    summary: str
    answers: dict[int, str]
    refuses: tuple[int, ...] = ()
    body: str = ""
    description: str = ""
    query: str = ""
    headers: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    role: str = "admin"  # the role that a key needs: admin, ingest, or "" if no key is needed


ROUTES: dict[str, Route] = {
    "POST /v1/order": Route(
        "submitOrder", V1, "Submit an order", {201: "OrderAnswer"}, (400, 409, 413, 415), "Order",
        "A repeated submission gets the first answer again. Other content under the same order_id is refused with 409.",
        links=("editOrder", "deleteOrder", "getOrder", "getCustomer"), role="ingest",
    ),
    "POST /v1/order/{order_id}": Route(
        "editOrder", V1, "Edit an order", {200: "OrderAnswer"}, (400, 404, 413, 415), "OrderChange",
        "A value replaces a field, null clears it, absent fields are unchanged. The result must be a valid order.",
        role="ingest",
    ),
    "DELETE /v1/order/{order_id}": Route(
        "deleteOrder", V1, "Delete an order", {200: "OrderAnswer"}, (404,), "",
        "The answer is the order before its deletion. Its contribution to the customer's lifetime value and its "
        "audience records are deleted, too.",
        role="ingest",
    ),
    "GET /v1/order/{order_id}": Route("getOrder", V1, "Get an order", {200: "StoredOrder"}, (404,)),
    "POST /v3/{account_id}/shopper_activity/order": Route(
        "recordActivity", V3, "Record an event of an order", {202: "Accepted"}, (400, 413, 415, 422), "OrderActivity",
        "The event is queued. With an occurred_at or an Idempotency-Key, sending it again changes nothing. An order "
        "has at most 1,000 events or 4 MB; further events fail with the reason order_full.",
        headers=("Idempotency-Key",), links=("getRequest",), role="ingest",
    ),
    "POST /v3/{account_id}/shopper_activity/order/batch": Route(
        "recordActivities", V3, "Record up to 1,000 events", {202: "AcceptedBatch"}, (400, 413, 415, 422), "Batch",
        "If one event is invalid, the whole batch is refused; errors name the event, as orders[3].email. After a "
        "503, send the batch again: with occurred_at or an Idempotency-Key no event counts twice.",
        headers=("Idempotency-Key",),
        links=("getFirstRequest",), role="ingest",
    ),
    "GET /v3/{account_id}/requests/{request_id}": Route(
        "getRequest", V3, "Get the outcome of a request", {200: "RequestStatus"}, (404,), "",
        "Outcomes are kept for 30 days.",
    ),
    "GET /v3/{account_id}/people/{id_or_email}": Route(
        "getPerson", READ, "Get a person with lifetime value", {200: "Person"}, (404,),
        links=("getActivity", "getPersonOrders", "getSubscriber"),
    ),
    "DELETE /v3/{account_id}/people/{id_or_email}": Route(
        "erasePerson", READ, "Erase a person", {202: "JobStarted"}, (), "",
        "Erases the person's orders, activity, lifetime value, audience records and dead letters, including events "
        "that are still queued. An unknown person is therefore answered with 202, too. Use GET first to check that the "
        "identifier is right.", links=("getJob",),
    ),
    "GET /v3/{account_id}/people/{id_or_email}/activity": Route(
        "getActivity", READ, "List a person's timeline, newest first", {200: "ActivityPage"}, (400, 404),
        query="Timeline",
    ),
    "GET /v3/{account_id}/people/{id_or_email}/orders": Route(
        "getPersonOrders", READ, "List a person's orders, newest first", {200: "OrderPage"}, (400, 404), query="Page",
    ),
    "GET /v1/order/{order_id}/history": Route(
        "getOrderHistory", READ, "Get the history of an order", {200: "HistoryPage"}, (400, 404), "",
        "A page has the latest versions, the oldest of them first; the cursor leads to earlier versions. Deleted "
        "orders have a history, too.",
        "OrderHistory",
    ),
    "GET /v3/{account_id}/orders/{provider}/{order_id}/history": Route(
        "getShopperOrderHistory", READ, "Get the history of an order of shopper activity",
        {200: "HistoryPage"}, (400, 404), "",
        "A page has the latest events, the oldest of them first; the cursor leads to earlier events. Events are sorted "
        "by occurred_at, not by time of receipt.", "OrderHistory",
    ),
    "GET /v3/{account_id}/orders/{provider}/{order_id}": Route(
        "getShopperOrder", READ, "Get an order of shopper activity", {200: "ShopperOrder"}, (404,),
    ),
    "GET /v2/{account_id}/subscribers/{id_or_email}": Route(
        "getSubscriber", READ, "Get a person in the form of the v2 API", {200: "Subscribers"}, (404,),
    ),
    "GET /v1/audiences": Route(
        "getAudiences", AUDIENCES, "List the customer audiences", {200: "Audience[]"}, (503,), "",
        "`member_count` is a few seconds behind the orders, and up to an hour for days with more than 20,000 orders.",
    ),
    "GET /v1/audience/{audience_id}": Route(
        "getMembers", AUDIENCES, "List the members of an audience", {200: "MemberPage"}, (400, 404), "",
        "With format=csv (or Accept: text/csv), the answer is a page of CSV, with the cursor of the next page in "
        "X-Next-Cursor.", "Members",
    ),
    "POST /v1/audience/{audience_id}/match": Route(
        "matchPeople", AUDIENCES, "Find the customers among people", {200: "MatchResults"}, (400, 404, 413, 415),
        "MatchQuery", "With orders true, each result lists the person's orders, newest first, optionally of a period. "
        "An answer has at most 1,000 orders; `more` is true for a person who has others.",
    ),
    "POST /v1/audience/{audience_id}/rebuild": Route(
        "rebuildAudience", AUDIENCES, "Compute an audience again", {202: "JobStarted"}, (404,), links=("getJob",),
    ),
    "GET /v1/reports/sales": Route(
        "getSales", REPORTS, "Get sales by order date", {200: "SalesReport"}, (400, 503), "",
        "Shows orders, revenue, refunds, average order value and new buyers of the sources that the account counts, by "
        "day, week or month of the order date, and optionally by source, provider, new_buyer, promo_code, category or "
        "item. The report is a few seconds behind the orders. With format=csv (or Accept: text/csv), the answer is "
        "CSV. The answer is 503 if there is no time to sum up all days; the next request continues the work.", "Sales",
    ),
    "GET /v3/{account_id}/people": Route(
        "getPeople", REPORTS, "List customers by lifetime value, orders or last order", {200: "PeopleList"},
        (400, 503), "",
        "Lists people with orders of the sources that the account counts. The ranking is a few seconds behind the "
        "orders; the people are shown as they are now. A page may be short. For more than 50,000 people, the list is "
        "made once an hour (as_of is its time) and ends after the first 10,000. With format=csv (or Accept: text/csv), "
        "the answer is a page of CSV, with the cursor of the next page in X-Next-Cursor. The answer is 503 if there is "
        "no time to add up all orders; the next request continues the work.",
        "PeopleList",
    ),
    "GET /v3/{account_id}/segments": Route(
        "getSegments", REPORTS, "Count the customers in each segment", {200: "Segments"}, (503,), "",
        "An account defines its own segments (tillbook account set --segment). GET /v3/{account_id}/people?segment= "
        "lists the customers in one.",
    ),
    "GET /v1/orders": Route(
        "getOrders", REPORTS, "List orders of both APIs by order date, newest first", {200: "OrderList"}, (400,), "",
        "Filters are applied after reading, so a page may be short or empty and still have a next_cursor. With "
        "format=csv (or Accept: text/csv) or format=jsonl, the answer is a page of CSV or JSON lines with addresses, "
        "metadata and all items, and with the cursor of the next page in X-Next-Cursor.", "Orders",
    ),
    "GET /v1/jobs/{job_id}": Route("getJob", OPERATE, "Get the progress of a job", {200: "Job"}, (404,)),
    "GET /v1/transactions": Route(
        "getTransactions", OPERATE, "List requests with their outcomes, newest first", {200: "TransactionPage"},
        (400,), "",
        "With an action, a page may be short or empty and still have a next_cursor. With format=csv (or Accept: "
        "text/csv), the answer is a page of CSV, with the cursor of the next page in X-Next-Cursor.", "Transactions",
    ),
    "GET /v1/transactions/counts": Route(
        "countTransactions", OPERATE, "Count requests by status", {200: "TransactionCounts"}, (400,), "",
        "Counts the requests that were received from `from` to `to`, up to a limit. If `more` is true, the count is a "
        "lower bound.",
        "Counts",
    ),
    "DELETE /v1/transactions": Route(
        "purge", OPERATE, "Purge orders", {202: "JobStarted"}, (400, 413, 415), "Purge",
        "Purges everything received up to this request, including events that are still queued. Orders received later "
        "are kept.",
        links=("getJob",),
    ),
    "GET /v1/deadletters": Route(
        "getDeadLetters", OPERATE, "List dead letters: accepted events that could not be applied",
        {200: "DeadLetterPage"}, (400,), query="DeadLetters",
    ),
    "GET /v1/deadletters/count": Route(
        "countDeadLetters", OPERATE, "Count the dead letters", {200: "DeadLetterCount"},
    ),
    "GET /v1/deadletters/{deadletter_id}": Route(
        "getDeadLetter", OPERATE, "Get a dead letter", {200: "DeadLetter"}, (404,),
    ),
    "POST /v1/deadletters/{deadletter_id}/replay": Route(
        "replayDeadLetter", OPERATE, "Queue a dead letter again", {202: "Replayed"}, (400, 404), "",
        "With `all` as the id, all dead letters are replayed. If time runs out, the answer has a next_cursor: repeat "
        "the request with it.",
        "Replay",
    ),
    "DELETE /v1/deadletters/{deadletter_id}": Route(
        "discardDeadLetter", OPERATE, "Discard a dead letter", {200: "DeadLetter"}, (400, 404, 413, 415), "Discard",
    ),
    "GET /v1/transactions/summary": Route(
        "getTransactionsSummary", OPERATE, "Count requests by day", {200: "Summary"}, (400,), "",
        "Counts requests by day of receipt (UTC), API and status, and lists the reasons of failures and rejections. "
        "For sales, see GET /v1/reports/sales.",
        "Summary",
    ),
    "POST /connect/{account_id}/{connection}": Route(
        "receiveWebhook", CONNECT, "Receive a webhook of a shop", {200: "Received"}, (401, 413, 429, 500, 503), "",
        "This route is for platforms that `tillbook connect create` supports. No key is needed: the body is signed "
        "with the connection's secret. A genuine webhook without a valid order is answered with 200, too, and becomes "
        "a rejected request.",
        role="",
    ),
    "GET /v1/account": Route("getAccount", SETTINGS, "Get the account and the key of the request", {200: "Account"}),
    "PATCH /v1/account": Route(
        "changeAccount", SETTINGS, "Change the account's settings", {200: "Account"}, (400, 413, 415), "AccountChange",
        "Absent settings are unchanged, null restores the default. Settings apply when data is read, so they also "
        "affect older orders.",
    ),
    "GET /v1/keys": Route(
        "getKeys", SETTINGS, "List the account's API keys, newest first", {200: "KeyPage"}, (), "",
        "Revoked keys are included. last_used is a day.",
    ),
    "POST /v1/keys": Route(
        "createKey", SETTINGS, "Create an API key", {201: "NewApiKey"}, (400, 409, 413, 415), "NewKey",
        "The secret is shown in this answer only. If the answer is lost, revoke the key and create another.",
        links=("revokeKey",),
    ),
    "DELETE /v1/keys/{key_id}": Route(
        "revokeKey", SETTINGS, "Revoke an API key", {200: "ApiKey"}, (400, 404, 409, 413, 415), "",
        "A revoked key cannot be restored. Its requests are refused within a minute. To revoke the key of the request "
        "itself, confirm its id in the header X-Confirm or as `confirm` in the body.",
    ),
    "GET /v1/connections": Route(
        "getConnections", CONNECT, "List the account's connections", {200: "ConnectionPage"}, (), "",
        "Each connection has its last delivery, which is updated at most once a minute unless the result changes.",
    ),
    "POST /v1/connections": Route(
        "createConnection", CONNECT, "Connect a shop", {201: "NewConnectionAnswer"}, (400, 409, 413, 415),
        "NewConnection", "If the secret is generated here, it is shown in this answer only.",
        links=("getConnection", "removeConnection"),
    ),
    "POST /v1/connections/{connection}/rotate": Route(
        "rotateConnection", CONNECT, "Give a connection a new secret", {200: "NewConnectionAnswer"},
        (400, 404, 409, 413, 415), "NewSecret", "The old secret remains valid for overlap_hours.",
    ),
    "GET /v1/connections/{connection}": Route(
        "getConnection", CONNECT, "Test a connection", {200: "Connection"}, (404,), "",
        "The shop is not called. `check` says whether the secret can be read, when the last genuine delivery was "
        "received and its outcome, and whether a delivery with a wrong signature followed.",
    ),
    "DELETE /v1/connections/{connection}": Route(
        "removeConnection", CONNECT, "Remove a connection", {200: "Connection"}, (404,), "",
        "Its secrets are deleted, and its webhooks are refused within a minute. Its orders are kept.",
    ),
    "GET /openapi.json": Route(
        "getOpenApi", OPERATE, "Get this document", {200: "OpenApi"}, (), "", "No key is needed.", role="",
    ),
}  # fmt: skip
# The routes of the page, which are not part of the API.
PAGES = ("GET /", "GET /page/{file}")
