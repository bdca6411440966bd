"""What stands around `sam deploy`: the smoke test, a rehearsal on MiniStack, the role that GitHub Actions assumes."""
