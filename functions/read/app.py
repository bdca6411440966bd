"""Answers every GET, and the match: orders, people with LTV, timelines, requests, audiences, jobs."""

from tillbook.web import reading
from tillbook.web.endpoint import endpoint

handler = endpoint(reading.answer)
