"""Orders, events, people and their LTV: the only writer of the ledger table."""
