"""The largest prototypes as a Markdown table, for a README."""

from g2rec.bundle import Bundle
from g2rec.errors import ConfigError
from g2rec.report._diagnosis import Diagnosis

_TITLES = 3
_TITLE_LENGTH = 48


def interests_table(bundle: Bundle, num: int = 20) -> str:
    """The largest prototypes in Markdown: name, items, purest category, top items.

    ``g2rec report RUN`` writes it to ``RUN/interests.md``.

    Args:
        bundle: What a run fitted.
        num: Prototypes shown, the largest first.

    Raises:
        ConfigError: If none is to be shown.
    """
    return table_of(Diagnosis(bundle), num)


def table_of(diagnosis: Diagnosis, num: int = 20) -> str:
    """`interests_table` of figures that are at hand."""
    if num < 1:
        raise ConfigError(f"num must be at least 1, got {num}; show one prototype or more")
    labels, purity = diagnosis.labels, diagnosis.purity
    heads = ["#", "about", "items", *([] if purity is None else ["purest category"]), "top items"]
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join('---' for _ in heads)}|"]
    for interest in diagnosis.interests[:num]:
        cells = [str(interest.index), ", ".join(interest.words) or interest.name, f"{interest.mass:,.0f}"]
        if purity is not None and labels is not None:
            category = int(purity.category[interest.index])
            share = purity.share[interest.index]
            cells.append("" if category < 0 else f"{labels.names[category]} ({share:.0%})")
        cells.append("; ".join(_short(title) for title in interest.titles[:_TITLES]))
        lines.append(f"| {' | '.join(_plain(cell) for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _short(title: str) -> str:
    return title if len(title) <= _TITLE_LENGTH else f"{title[: _TITLE_LENGTH - 1].rstrip()}…"


def _plain(cell: str) -> str:
    return cell.replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")
