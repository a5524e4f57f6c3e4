"""What the commands print: a line a stage, download bars, interests and recommendations."""

import sys
from typing import TYPE_CHECKING, Any

from tqdm.auto import tqdm

from g2rec.artifacts import StageRecord

if TYPE_CHECKING:  # the commands on data show no bundle
    from g2rec.bundle import Bundle

_TITLE_WIDTH = 56


def announce(record: StageRecord) -> None:
    """One line for a stage: its name, its counts, its seconds."""
    time = "reused" if record.reused else f"{record.seconds:.1f} s"
    print(f"{record.name:<26} {record.line}  [{time}]", flush=True)


def _bar(**shown: Any) -> Any:
    """A bar that goes when it is full, and that a file is spared."""
    return tqdm(unit_scale=True, leave=False, disable=None, **shown)


class Download:
    """A progress bar for the bytes of one download after the other."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        """Show that ``done`` bytes of ``total`` are here."""
        if self._bar is None or self._bar.n > done:
            self.close()
            self._bar = _bar(total=total, unit="B", desc="download")
        self._bar.update(done - self._bar.n)
        if total is not None and done >= total:
            self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Steps:
    """A progress bar for one step after the other."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._step = ""

    def __call__(self, step: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` events or edges of a step are done."""
        if step != self._step:
            self.close()
            self._step = step
            self._bar = _bar(total=total, unit=" events", desc=step)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_interests(bundle: "Bundle", number: int) -> None:
    """The largest interests: the words that set them apart, and their top items."""
    interests = sorted(bundle.interests(), key=lambda interest: -interest.mass)[:number]
    print(f"\nThe {len(interests)} largest of {bundle.prototypes.num_prototypes} interest prototypes:")
    for interest in interests:
        words = f"{', '.join(interest.words[:3])}: " if interest.words else ""
        titles = "; ".join(_short(title, 36) for title in interest.titles[: 3 if words else 4])
        print(f"  #{interest.index:<3} {interest.mass:5.0f} items  {words}{titles}")


def print_recommendations(bundle: "Bundle", number: int, k: int = 10) -> None:
    """The top ``k`` for a few users, with titles."""
    log = bundle.interactions
    step = max(1, log.num_users // number)
    for user_id in log.user_ids.to_pylist()[: step * number : step]:
        left = log.num_items - len(set(bundle.history(user_id)))
        if not left:
            continue
        table = bundle.recommend(user=user_id, k=min(k, left))
        print(f"\nTop {table.num_rows} for user {user_id}:")
        print_table(table)


def print_table(table: Any) -> None:
    """Ranked items as numbered lines."""
    for place, row in enumerate(table.to_pylist(), 1):
        title = _short(row["title"], _TITLE_WIDTH)
        print(f"  {place:>3}. {title:<{_TITLE_WIDTH}} {row['score']:8.3f}  {row['item_id']}")
    sys.stdout.flush()


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
