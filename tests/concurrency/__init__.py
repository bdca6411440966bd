"""Many workers write to the ledger on an engine of DynamoDB; every snapshot and the final state must be exact."""
