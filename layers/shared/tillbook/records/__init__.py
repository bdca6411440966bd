"""Data other than orders: accounts, keys, connections, outcomes of requests, dead letters, jobs, the book, messages."""
