"""Orders, events, people and their LTV. This package is the only writer of the ledger table."""
