"""Filters: documents in, scores and a reason out."""
