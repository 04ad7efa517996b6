"""Bytes of next-token targets, token by token."""

from trainer.stream import Batch


def target_bytes(batch: Batch, end_of_text_id: int) -> list[float]:
    """For each segment: its bytes, spread evenly over its text tokens, of those that are targets."""
    found = []
    lengths, sizes = iter(batch.segment_length.tolist()), iter(batch.segment_bytes.tolist())
    for row, num_segments in enumerate(batch.num_segments.tolist()):
        start = 0
        for _ in range(num_segments):
            places = range(start, start + next(lengths))
            text = [place for place in places if batch.tokens[row, place] != end_of_text_id]
            chosen = [place for place in text if batch.loss_mask is None or batch.loss_mask[row, place]]
            found.append(next(sizes) / max(1, len(text)) * sum(place != start for place in chosen))
            start = places.stop
    return found
