"""Records besides orders: accounts, keys, connections, outcomes of requests, dead letters, jobs and messages."""
