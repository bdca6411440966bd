"""Random histories of announcements: in the end a receiver of the event bus must know the LTV that is stored."""
