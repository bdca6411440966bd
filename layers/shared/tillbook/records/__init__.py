"""Everything that is stored besides orders: outcomes, dead letters, jobs, messages, accounts, keys."""
