"""Tools around `sam deploy`: the smoke test, a rehearsal on MiniStack, and the role that GitHub Actions assumes."""
