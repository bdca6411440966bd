"""The real ledger on a real engine under many workers: exact in every snapshot, and exact in the end."""
