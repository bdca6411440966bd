"""Functions killed by SIGKILL at any moment: in the end everything that was accepted is applied, exactly once."""
