"""AWS: clients, items, retries, settings, logging and metrics."""
