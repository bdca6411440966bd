"""Deployment: the script, its smoke test, its rehearsal on MiniStack, a restore drill, and two more templates."""
