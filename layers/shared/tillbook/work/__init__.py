"""Work that queues and schedules start: processing, purge, erasure, rebuild."""
