"""Functions are killed by SIGKILL at random moments; every accepted request must still be applied exactly once."""
