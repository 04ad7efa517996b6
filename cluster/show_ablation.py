"""An ablation as text for a terminal."""

from typing import TYPE_CHECKING, Any

from rich.console import Console

from cluster.show import plain, table

if TYPE_CHECKING:
    from trainer.ablate import Ablation, Comparison

ALPHA = 0.05


def ablation(console: Console, result: "Ablation") -> None:
    """Arms, held-out sets, differences, and how many seeds would show a small one."""
    steps = result.config["steps"]
    console.print(plain(f"{len(result.arms)} arms, {result.num_seeds} seeds, {steps:,} steps each"))
    arms = [
        {
            "arm": arm.name,
            "corpus": arm.paths[0] if arm.size_of is None else "rows of A, drawn anew for each seed",
            "rows": arm.num_rows,
            "tokens": arm.num_tokens,
            "times each row is read": f"{arm.repeats:.2f}",
        }
        for arm in result.arms
    ]
    console.print(table("arms", arms))
    sets = [
        {
            "held-out set": one.name,
            "documents": one.num_documents,
            "counted": one.num_counted,
            "left out, as an arm trains on them": "; ".join(
                f"{arm}: {found['by_id']:,} by id, {found['by_text']:,} by text"
                for arm, found in one.left_out.items()
                if any(found.values())
            ),
        }
        for one in result.held_out
    ]
    console.print(table("held-out texts", sets))
    console.print(
        table("bits per byte: less is better", [_row(one, result.effect_ratio) for one in result.comparisons])
    )
    for one in result.comparisons:
        if one.slice == "all":
            console.print(
                plain(f"{one.held_out}: {one.second} against {one.first}: {verdict(one)}; {power(one, result)}")
            )


def _row(one: "Comparison", effect_ratio: float) -> dict[str, Any]:
    difference, (before, after) = one.difference, one.bits_per_byte
    return {
        "held-out set": one.held_out,
        "slice": one.slice,
        "documents": one.num_documents,
        "compared": f"{one.second} - {one.first}",
        "bits per byte": f"{after:.4f} - {before:.4f}",
        "difference": f"{difference.mean:+.5f}",
        "95 % interval": f"{difference.low:+.5f} to {difference.high:+.5f}",
        "of it": f"{difference.mean / before:+.2%}",
        "SD": f"{difference.sd:.5f}",
        "p": f"{difference.p_value:.2g}",
        "p (Holm)": f"{one.holm_p_value:.2g}",
        f"more seeds for {effect_ratio:.2%}": "out of reach" if one.more_seeds is None else one.more_seeds,
    }


def verdict(one: "Comparison") -> str:
    """Which of the two is better, as far as the corrected p-value tells."""
    if one.holm_p_value >= ALPHA:
        return "not told apart"
    return "better" if one.difference.mean < 0.0 else "worse"


def power(one: "Comparison", result: "Ablation") -> str:
    """How many seeds would show a difference of effect_ratio."""
    effect = f"{result.effect_ratio:.2%} ({result.effect_ratio * one.bits_per_byte[0]:.4f} bits per byte)"
    if one.more_seeds is None:
        return f"a difference of {effect} is out of reach"
    if not one.more_seeds:
        return f"{result.num_seeds} seeds show a difference of {effect} with 80 % power"
    return f"{one.more_seeds:,} more seeds would show a difference of {effect} with 80 % power"
