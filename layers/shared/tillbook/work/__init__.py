"""Work that queues, streams and schedules start: processing, jobs, the book, announcements."""
