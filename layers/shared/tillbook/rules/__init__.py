"""Rules of orders, amounts, times, addresses and identity: pure functions, no AWS."""
