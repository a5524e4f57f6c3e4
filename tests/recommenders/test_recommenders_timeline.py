"""How much items were engaged with lately, as of a user's own time: nothing later is known."""

import dataclasses

import numpy as np
import pyarrow as pa
import torch

from g2rec.interactions import Interactions
from g2rec.recommenders import HistoryBatch, ItemTimeline, Newness, RecentPopularity

DAY = 86_400


def log(times: list[list[int]], split: str = "leave_one_out") -> Interactions:
    """Each item's events, on the given days, by users of one event; the last two users are held out."""
    item = np.repeat(np.arange(len(times)), [len(days) for days in times]).astype(np.int32)
    time = np.concatenate(times).astype(np.int64) * DAY
    order = np.argsort(time, kind="stable")
    M = len(item)
    table = pa.table(
        {"item_id": [str(i) for i in range(len(times))], "title": [f"t{i}" for i in range(len(times))]}
    )
    return Interactions(
        user_index=np.arange(M, dtype=np.int32),
        item_index=item[order],
        time=time[order],
        part=np.zeros(M, np.uint8),
        user_ids=pa.array(range(M)),
        items=table,
        split=split,
    )


def test_counts_what_was_over_by_then() -> None:
    made = log([[0, 1, 2, 3], [50, 51, 52], list(range(100)), []])
    timeline = ItemTimeline.of(made)
    assert timeline is not None
    time = torch.tensor([10, 52, 10_000]) * DAY
    for window, days in ((None, 10_000), (16, None)):
        found = timeline.lately(time, 3, window).expm1().round().int()
        if days is not None:  # of all that went before, at most the span that the user asks in is left out
            exact = [
                [sum(t < now for t in days) for days in ([0, 1, 2, 3], [50, 51, 52], range(100), [])]
                for now in (10, 52, 10_000)
            ]
            difference = torch.tensor(exact) - found
            assert (difference >= 0).all() and (difference <= 2).all()
            assert difference[2].abs().sum() == 0
        else:
            assert found[2, 0] == 0 and found[2, 2] > 5
    age = timeline.age(time, 3)
    assert age[0, 1] == 0 and age[1, 0] > 0.3 and (age[2, :3] > 0).all() and age[2, 3] == 0


def test_later_events_change_nothing() -> None:
    rng = np.random.default_rng(0)
    days = [sorted(rng.integers(0, 300, 20).tolist()) for _ in range(30)]
    timeline = ItemTimeline.of(log(days))
    assert timeline is not None
    now = torch.tensor([150 * DAY])
    over = int(timeline.ends[timeline.ends <= now].max()) // DAY
    item = np.repeat(np.arange(30), 20)
    moved = np.concatenate(days)
    moved[moved >= over] = 299
    counts = np.zeros_like(timeline.counts)  # with the same cuts
    span = np.searchsorted(timeline.ends.numpy(), moved * DAY, side="right")
    np.add.at(counts, (item, span + 1), 1)
    other = ItemTimeline(30, len(timeline.ends))
    other.ends.copy_(timeline.ends)
    other.counts.copy_(torch.from_numpy(counts.cumsum(1)))
    assert not other.counts.equal(timeline.counts)
    for a, b in zip(timeline.gather(now, 1), other.gather(now, 1), strict=True):
        torch.testing.assert_close(a, b)


def test_an_unknown_item_counts_as_the_average_one() -> None:
    timeline = ItemTimeline.of(log([[0, 1, 2, 3], [50, 51, 52], []]))
    assert timeline is not None
    for scores in timeline.gather(None, 2):
        torch.testing.assert_close(scores[:, 2], scores[:, :2].mean(1))
    for scores in timeline.gather(torch.tensor([40]) * DAY, 1):  # the second item comes later
        torch.testing.assert_close(scores[0, 1:], scores[0, :1].expand(2))


def test_users_are_asked_about_at_their_latest_event(toy: Interactions) -> None:
    targets = toy.targets("test")
    assert targets.asked is not None and targets.history_time is not None and targets.target_time is not None
    np.testing.assert_array_equal(targets.asked, targets.history_time[targets.indptr[1:] - 1])
    assert (targets.asked <= targets.target_time).all()
    cut = dataclasses.replace(toy, split="temporal").targets("test").asked
    assert cut is not None and (cut > toy.train_events().time.max()).all()
    assert dataclasses.replace(toy, time=None).targets("test").asked is None


def test_recent_popularity_without_times_is_popularity(toy: Interactions) -> None:
    bare = dataclasses.replace(toy, time=None)
    assert ItemTimeline.of(bare) is None
    history = HistoryBatch(torch.tensor([0]), torch.tensor([[1, 2]]), torch.tensor([2]))
    counts = np.bincount(toy.train_events().item_index, minlength=toy.num_items)
    told = RecentPopularity.fit(bare).score(history)[0]
    np.testing.assert_allclose(told.numpy(), np.log1p(counts), rtol=1e-6)
    lately = RecentPopularity.fit(toy).score(history)[0].expm1()
    assert (lately <= torch.from_numpy(counts) + 0.01).all() and lately.sum() < counts.sum() / 4


def test_newness_ranks_the_newest_first_as_of_the_time_of_asking() -> None:
    made = log([[0, *range(40, 60)], list(range(20, 60)), list(range(50, 60)), [59], []])
    history = HistoryBatch(torch.tensor([0, 0]), torch.tensor([[0], [0]]), torch.tensor([1, 1]))
    asked = dataclasses.replace(history, time=torch.tensor([45, 1000]) * DAY)
    early, late = Newness.fit(made).score(asked)
    assert early[1] > early[0]  # items 2 and 3 are not there yet: of average age
    torch.testing.assert_close(early[2:], early[:2].mean().expand(3))
    assert late[:4].argsort().tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(late[4], late[:4].mean())
    bare = Newness.fit(dataclasses.replace(made, time=None)).score(history)
    assert (bare == bare[0, 0]).all()
