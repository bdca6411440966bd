"""Rules of orders, amounts, times, addresses and identity. All are pure functions, without AWS."""
