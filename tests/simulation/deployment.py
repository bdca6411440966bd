"""Table and queue names of the simulated stack; time-outs, batch sizes and settings of template.yaml."""

from __future__ import annotations

from tests.handlers import template
from tillbook.aws.settings import Settings

LEDGER, RECORDS, BOOK, REMOVALS = "ledger", "records", "book", "removals"
QUEUE_URL, JOBS_QUEUE_URL = "queue", "jobs"
LEDGER_INDEXES = {
    index["IndexName"]: tuple(key["AttributeName"] for key in index["KeySchema"])
    for index in template.resources("AWS::DynamoDB::Table")["LedgerTable"]["GlobalSecondaryIndexes"]
}
_GLOBALS = template.load()["Globals"]["Function"]
QUEUES = template.resources("AWS::SQS::Queue")
SETTINGS = Settings(
    ledger_table=LEDGER, records_table=RECORDS, book_table=BOOK, removals_table=REMOVALS,
    orders_queue_url=QUEUE_URL, jobs_queue_url=JOBS_QUEUE_URL,
    queue_retention_seconds=int(_GLOBALS["Environment"]["Variables"]["QUEUE_RETENTION_SECONDS"]),
    max_tries=int(_GLOBALS["Environment"]["Variables"]["MAX_TRIES"]),
    settle_seconds=template.load()["Parameters"]["SettleSeconds"]["Default"], stack_name="tillbook",
)  # fmt: skip
HANDLER_SECONDS = float(_GLOBALS["Timeout"])
PROCESS_SECONDS = float(template.functions()["ProcessOrders"]["Timeout"])
KEEP_BOOK_SECONDS = float(template.functions()["KeepBook"]["Timeout"])
_SOURCES_OF_BATCHES = template.functions()["ProcessOrders"]["Events"]
BATCH_SIZES = {
    QUEUE_URL: _SOURCES_OF_BATCHES["Queue"]["Properties"]["BatchSize"],
    JOBS_QUEUE_URL: _SOURCES_OF_BATCHES["Jobs"]["Properties"]["BatchSize"],
}
