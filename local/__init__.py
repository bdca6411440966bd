"""Tillbook on one machine: the stack of template.yaml on an embedded AWS (MiniStack), and a front door."""
