"""Many workers write to the ledger on a real engine; every snapshot and the final state must be exact."""
