"""Every route, declared once: who may use it, what it takes and answers, and what the documentation says of it.

template.yaml gives each route its function. The function, the `$default` function and the OpenAPI document look here.
Models are named, not imported: a name in `query` is of contract/queries.py, one in `body` of any module of contract/,
one in `answers` of openapi/answers.py.
"""

from __future__ import annotations

from typing import NamedTuple

V1, V3, READ, AUDIENCES, OPERATE = "Orders API", "Shopper activity", "People and orders", "Audiences", "Operating"


class Route(NamedTuple):
    """`answers`: the shape of each success by status. `refuses`: statuses besides those that all routes share."""

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
    role: str = "admin"  # that a key must have; "ingest", or "" where no key is asked for


ROUTES: dict[str, Route] = {
    "POST /v1/order": Route(
        "submitOrder", V1, "Submit an order", {201: "OrderAnswer"}, (400, 409, 413, 415), "Order",
        "The same submission again is answered with the first answer; other content under the same order_id: 409.",
        links=("editOrder", "deleteOrder", "getOrder", "getCustomer"), role="ingest",
    ),
    "POST /v1/order/{order_id}": Route(
        "editOrder", V1, "Edit an order", {200: "OrderAnswer"}, (400, 404, 413, 415), "OrderChange",
        "Fields that are given replace, null clears, absent ones stay. The result must still be a valid order.",
        role="ingest",
    ),
    "DELETE /v1/order/{order_id}": Route(
        "deleteOrder", V1, "Delete an order", {200: "OrderAnswer"}, (404,), "",
        "Answers the order as it was. Its part of the customer's lifetime value and its audience records go too.",
        role="ingest",
    ),
    "GET /v1/order/{order_id}": Route("getOrder", V1, "Get an order", {200: "OrderAnswer"}, (404,)),
    "POST /v3/{account_id}/shopper_activity/order": Route(
        "recordActivity", V3, "Record an event of an order", {202: "Accepted"}, (400, 413, 415, 422), "OrderActivity",
        "Queued. Sent again with an occurred_at or an Idempotency-Key it changes nothing.",
        headers=("Idempotency-Key",), links=("getRequest",), role="ingest",
    ),
    "POST /v3/{account_id}/shopper_activity/order/batch": Route(
        "recordActivities", V3, "Record up to 1,000 events", {202: "AcceptedBatch"}, (400, 413, 415, 422), "Batch",
        "All or nothing: one event that is refused (named as orders[3].email) refuses the batch. After a 503 send it "
        "again: with occurred_at or an Idempotency-Key nothing counts twice.", headers=("Idempotency-Key",),
        links=("getFirstRequest",), role="ingest",
    ),
    "GET /v3/{account_id}/requests/{request_id}": Route(
        "getRequest", V3, "What became of a request", {200: "RequestStatus"}, (404,), "", "Kept for 30 days.",
    ),
    "GET /v3/{account_id}/people/{id_or_email}": Route(
        "getPerson", READ, "A person with lifetime value", {200: "Person"}, (404,),
        links=("getActivity", "getPersonOrders", "getSubscriber"),
    ),
    "DELETE /v3/{account_id}/people/{id_or_email}": Route(
        "erasePerson", READ, "Erase a person", {202: "JobStarted"}, (), "",
        "Orders, activity, lifetime value, audience records and dead letters are erased, also what is still queued: so "
        "the answer is 202 for somebody unknown, too. Ask GET first whether you have the right one.", links=("getJob",),
    ),
    "GET /v3/{account_id}/people/{id_or_email}/activity": Route(
        "getActivity", READ, "A person's timeline, newest first", {200: "ActivityPage"}, (400, 404), query="Timeline",
    ),
    "GET /v3/{account_id}/people/{id_or_email}/orders": Route(
        "getPersonOrders", READ, "A person's orders, newest first", {200: "OrderPage"}, (400, 404), query="Page",
    ),
    "GET /v1/order/{order_id}/history": Route(
        "getOrderHistory", READ, "What happened to an order, step by step", {200: "HistoryPage"}, (404,), "",
        "Oldest first, of a deleted order too: the last 200 versions.",
    ),
    "GET /v3/{account_id}/orders/{provider}/{order_id}/history": Route(
        "getShopperOrderHistory", READ, "What happened to an order of shopper activity, step by step",
        {200: "HistoryPage"}, (404,), "", "In the order of the events' own time, whatever order they came in.",
    ),
    "GET /v3/{account_id}/orders/{provider}/{order_id}": Route(
        "getShopperOrder", READ, "An order of shopper activity", {200: "ShopperOrder"}, (404,),
    ),
    "GET /v2/{account_id}/subscribers/{id_or_email}": Route(
        "getSubscriber", READ, "A person as clients of the v2 API read it", {200: "Subscribers"}, (404,),
    ),
    "GET /v1/audiences": Route("getAudiences", AUDIENCES, "The customer audiences", {200: "Audience[]"}),
    "GET /v1/audience/{audience_id}": Route(
        "getMembers", AUDIENCES, "Members of an audience", {200: "MemberPage"}, (400, 404), "",
        "With format=csv (or Accept: text/csv) a page of CSV, with the cursor of the next in X-Next-Cursor.", "Members",
    ),
    "POST /v1/audience/{audience_id}/match": Route(
        "matchPeople", AUDIENCES, "Who of these people is a customer", {200: "MatchResults"}, (400, 404, 413, 415),
        "MatchQuery",
    ),
    "POST /v1/audience/{audience_id}/rebuild": Route(
        "rebuildAudience", AUDIENCES, "Compute an audience again", {202: "JobStarted"}, (404,), links=("getJob",),
    ),
    "GET /v1/jobs/{job_id}": Route("getJob", OPERATE, "How far a job is", {200: "Job"}, (404,)),
    "GET /v1/transactions": Route(
        "getTransactions", OPERATE, "What became of requests, newest first", {200: "TransactionPage"}, (400,),
        query="Transactions",
    ),
    "DELETE /v1/transactions": Route(
        "purge", OPERATE, "Purge orders", {202: "JobStarted"}, (400, 413, 415), "Purge",
        "What was received up to this request is purged, also what is still queued. What is received later is new.",
        links=("getJob",),
    ),
    "GET /v1/deadletters": Route(
        "getDeadLetters", OPERATE, "Accepted orders that could not be applied", {200: "DeadLetterPage"}, (400,),
        query="Requests",
    ),
    "POST /v1/deadletters/{deadletter_id}/replay": Route(
        "replayDeadLetter", OPERATE, "Queue a dead letter again", {202: "Replayed"}, (400, 404), "",
        "`all` as the id: every one there is now. Where there was no time for all of them, ask again with the cursor.",
        "Replay",
    ),
    "DELETE /v1/deadletters/{deadletter_id}": Route(
        "discardDeadLetter", OPERATE, "Discard a dead letter", {200: "DeadLetter"}, (400, 404, 413, 415), "Discard",
    ),
    "GET /v1/transactions/summary": Route(
        "getTransactionsSummary", OPERATE, "What came in, day by day", {200: "Summary"}, (400,), "",
        "Orders and amounts by day, source and currency, by new_buyer and promo_code; what was refused, by reason.",
        "Summary",
    ),
    "GET /v1/account": Route("getAccount", OPERATE, "Whose key this is", {200: "Account"}),
    "GET /openapi.json": Route(
        "getOpenApi", OPERATE, "This document", {200: "OpenApi"}, (), "", "Needs no key.", role="",
    ),
}  # fmt: skip
# The page, which is no API.
PAGES = ("GET /", "GET /page/{file}")
