"""Histories of announcements: what a receiver of the event bus knows in the end is what the ledger stores."""
