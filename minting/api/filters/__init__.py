"""What lists can be narrowed by."""

from minting.api.filters.batches import BatchFilter
from minting.api.filters.readings import ReadingFilter
from minting.api.filters.results import BatchResultFilter, ResultFilter

__all__ = ["BatchFilter", "BatchResultFilter", "ReadingFilter", "ResultFilter"]
