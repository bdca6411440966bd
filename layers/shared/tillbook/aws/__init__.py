"""Access to AWS: clients, items, reads, writes, retries, settings, logging and metrics."""
