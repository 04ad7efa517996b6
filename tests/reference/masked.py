"""Slow twin of Masking.hide: one token at a time."""

from tests.reference.draws import below, draw, fraction


def hide(
    token: int, place: tuple[int, int, int], seed: int, ordinary: list[int], mask_id: int, ratios: tuple[float, ...]
) -> tuple[int, int | None]:
    """What is seen of a text token, and what is to be predicted.

    place: row, sample, position; ordinary: what may be drawn.
    """
    ratio, mask_ratio, random_ratio = ratios
    if fraction(draw(f"masked\0{seed}", *place)) >= ratio:
        return token, None
    action = fraction(draw(f"action\0{seed}", *place))
    if action < mask_ratio:
        return mask_id, token
    if action >= mask_ratio + random_ratio:
        return token, token
    return ordinary[below(draw(f"other token\0{seed}", *place), len(ordinary))], token
