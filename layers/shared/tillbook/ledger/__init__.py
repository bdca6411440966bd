"""Orders, events, people and their lifetime value (LTV). Only this package writes the ledger table."""
