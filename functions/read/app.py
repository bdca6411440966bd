"""Answers reads: orders, people with their lifetime value, timelines, requests, reports, audiences and matches."""

from tillbook.web import reading
from tillbook.web.endpoint import endpoint

handler = endpoint(reading.answer)
