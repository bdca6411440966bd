"""Tillbook: orders in, exact lifetime value, complete timelines and audiences out."""

from tillbook.aws import start

start.begin()
