"""Filters: documents in, scores and a reason out. FILTERS lists every rule that a recipe can name."""

from filters.base import Filter

FILTERS: dict[str, type[Filter]] = {}

__all__ = ["FILTERS", "Filter"]
