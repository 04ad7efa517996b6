"""Filters: documents in, scores and a reason out. FILTERS lists every rule that a recipe can name."""

from filters.base import Filter
from filters.c4 import C4
from filters.decontaminate import Decontaminate
from filters.fineweb import FineWeb
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.language import Language
from filters.madlad import Madlad
from filters.perplexity import Perplexity
from filters.pii import Pii
from filters.quality import Quality
from filters.refinedweb import RefinedWeb
from filters.refinedweb_urls import RefinedWebUrls
from filters.repeated_substrings import RepeatedSubstrings
from filters.toxicity import Toxicity
from filters.trained_loss import TrainedLoss
from filters.url import Url

FILTERS: dict[str, type[Filter]] = {
    "url": Url,
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "refinedweb_urls": RefinedWebUrls,
    "refinedweb": RefinedWeb,
    "c4": C4,
    "fineweb": FineWeb,
    "madlad": Madlad,
    "perplexity": Perplexity,
    "quality": Quality,
    "toxicity": Toxicity,
    "trained_loss": TrainedLoss,
    "pii": Pii,
    "repeated_substrings": RepeatedSubstrings,
    "decontaminate": Decontaminate,
}

__all__ = ["FILTERS", "Filter", "Language"]
