"""Tillbook: orders in, exact lifetime value, complete timelines and audiences out."""

from tillbook import start

start.begin()
