"""Read models: people, audiences, matches, summaries, the audit."""
