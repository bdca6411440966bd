"""Read models: people, orders, audiences, matches, reports, announcements, the audit."""
