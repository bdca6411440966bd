"""Access to AWS: clients, items, reads, writes, retries, events, secrets, settings, cold starts, logs and metrics."""
