"""How fast semantic IDs are decoded, and how near a beam comes to exact scores; tables, and one line of JSON.

    python scripts/bench_decoding.py [--device cuda] [--parts [peer,trie,latency,exact,scale]]
    python scripts/bench_decoding.py --parts [fitted] --model RUN/baselines/code_lm/model \
        --interactions RUN/interactions/interactions

All but ``fitted`` need no data: a `CodeLM` with random weights over random unique IDs, users with random
histories of the lengths that 5-core logs have (4 items and a geometric tail of 5 more).

peer: users per second against Hugging Face's ``generate`` on the same weights, exported: the same beam, a
prefix function over a Python dictionary, cache on, float32, users sorted by length in either case, every
batch size of the list, the best of each kept. Lists are compared: the share of users with the same ten items
in the same order, and the largest difference between the scores. The peer is left out where transformers is
missing. ``by item`` is a model of the same size that reads one position an item and spells codes with a depth
decoder, which generate has no counterpart for.
trie: what is left of the search when the decoder costs nothing, with the constraint and without one (any code
may follow any), taken by turns; their difference as a share of the whole search but for the encoding of the
history, that is, of a step.
latency: one user at a time, history on the host to items on the host.
exact: the beam against the scores of the whole catalogue, of a model trained for ``train_steps`` on random
users who stay, nine times of ten, within fifty neighbouring IDs. Recall if targets were drawn from the
model's own distribution (the probability that it gives to the ten found), by width: no sampling noise.
scale: a catalogue of ``large_items``: building the trie, its bytes, and the time of a step beside that of
the small one, without a mask and with an allow list of a tenth of the items.
fitted: recall of a fitted model's beam on test users, by width, and of its exact scores.

On a GPU the search is one CUDA graph for each batch shape, histories padded to a multiple of eight items.
With one thread on the CPU, throughput and shares are in seconds of processor time, which other processes do
not lengthen; latency is always in seconds of the clock.
"""

import dataclasses
import datetime
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from _refusal import check_device, refusal
from jsonargparse import CLI
from torch.profiler import ProfilerActivity, profile

from g2rec.errors import ConfigError
from g2rec.interactions import Interactions
from g2rec.recommenders import (
    CapturedRanking,
    CodeLM,
    CodeLMConfig,
    G2Rec,
    HistoryBatch,
    PrefixTrie,
    RankedItems,
    TransformerConfig,
    beam_search,
    export_llama,
    history_batch,
    load_recommender,
    tiger_decoder_config,
)
from g2rec.training.pipeline import hardware

K = 10
"""Length of the lists."""
Part = Literal["peer", "trie", "latency", "exact", "scale", "fitted"]


def unique_ids(num_items: int, levels: int, size: int, skew: float, seed: int = 0) -> np.ndarray:
    """Random codes, no two rows alike; with skew above 1 the low codes are more frequent."""
    rng = np.random.default_rng(seed)
    kept = np.empty((0, levels), dtype=np.int32)
    while len(kept) < num_items:
        more = (size * rng.random((2 * num_items, levels)) ** skew).astype(np.int32)
        kept = np.unique(np.concatenate([kept, more]), axis=0)
    return rng.permutation(kept)[:num_items]


def many_unique_ids(num_items: int) -> np.ndarray:
    """Four bytes of i x odd modulo 2^32: unique without a search, and as good as random."""
    word = (np.arange(num_items, dtype=np.uint64) * 2_654_435_761 % 2**32).astype(np.uint32)
    return np.stack([(word >> shift & 255).astype(np.int16) for shift in (24, 16, 8, 0)], axis=1)


def random_users(num_users: int, num_items: int, max_len: int, seed: int = 0) -> list[np.ndarray]:
    """Histories, the shortest first."""
    rng = np.random.default_rng(seed)
    lengths = np.sort(np.minimum(3 + rng.geometric(1 / 6, num_users), max_len))
    return [rng.integers(0, num_items, length) for length in lengths]


def batch_of(histories: list[np.ndarray]) -> HistoryBatch:
    """On the host."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in histories])])
    return history_batch(indptr, np.concatenate(histories), np.arange(len(histories)))


def wait(device: str) -> None:
    """Until the GPU has done all."""
    if device == "cuda":
        torch.cuda.synchronize()


def seconds_of(functions: list[Callable[[], Any]], device: str, budget: float) -> list[list[float]]:
    """Seconds of each call, by turns, so that a noisy machine is noisy to all; at least two of each."""
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    times: list[list[float]] = [[] for _ in functions]
    for function in functions:
        function()
    stop = time.perf_counter() + budget * len(functions)
    while time.perf_counter() < stop or len(times[0]) < 2:
        for function, own in zip(functions, times, strict=True):
            wait(device)
            start = clock()
            function()
            wait(device)
            own.append(clock() - start)
    return times


def card_seconds(function: Callable[[], Any]) -> float:
    """Seconds in which the GPU works for one call, of torch.profiler."""
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        function()
        torch.cuda.synchronize()
    events = [event for event in profiler.key_averages() if event.device_type.name == "CUDA"]
    return sum(event.self_device_time_total for event in events) / 1e6


class Ranker:
    """The model's own ranking: on a GPU through one graph for each shape, else as it is."""

    def __init__(self, model: CodeLM | G2Rec, batch_size: int, device: str) -> None:
        self.model, self.batch_size, self.device = model, batch_size, device
        self.graphs: dict[int, CapturedRanking] = {}

    def __call__(self, batch: HistoryBatch) -> RankedItems:
        """From a batch on the host to ranked items on the device."""
        if self.device == "cpu":
            return self.model.rank(batch, K)
        longest = self.model.config.transformer.max_len
        width = min(8 * -(-max(1, batch.items.shape[1]) // 8), longest)
        if width not in self.graphs:
            self.graphs[width] = CapturedRanking(self.model, K, batch_size=self.batch_size, max_len=width)
        return self.graphs[width].rank(batch.to(self.device))


def rank_users(ranker: Ranker, users: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Items and scores of all users, on the host."""
    starts = range(0, len(users), ranker.batch_size)
    found = [ranker(batch_of(users[start : start + ranker.batch_size])) for start in starts]
    return torch.cat([part.items for part in found]).cpu(), torch.cat([part.scores for part in found]).cpu()


def measure_peer(
    model: CodeLM, sizes: dict[str, Any], device: str, budget: float
) -> tuple[list[dict[str, Any]], list[str]]:
    """Users per second of ours and of generate, and whether the lists agree."""
    users = random_users(sizes["users"], model.num_items, model.config.transformer.max_len)
    rows: list[dict[str, Any]] = []
    by_item = tiger_decoder_config(model.config.transformer, beam_width=model.config.beam_width).build(
        codes=model.codes.cpu().numpy(), codebook_size=model.codebook_size
    )
    for who, ours in (("g2rec", model), ("by item", by_item.eval().to(device))):
        for batch_size in sizes["batch_sizes"]:
            ranker = Ranker(ours, batch_size, device)
            (times,) = seconds_of([lambda ranker=ranker: rank_users(ranker, users)], device, budget)
            rows.append({"who": who, "batch_size": batch_size, "users_per_second": len(users) / min(times)})
    try:
        from transformers import LlamaForCausalLM
    except ImportError:
        return rows, ["transformers is not installed here: the peer is left out"]
    with tempfile.TemporaryDirectory() as folder:
        export_llama(model, Path(folder))
        llama = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
    spelled = model.tokens(torch.arange(model.num_items, device=device).unsqueeze(1))[:, 1:].tolist()
    item_of = {tuple(ids): item for item, ids in enumerate(spelled)}
    follows: dict[tuple[int, ...], list[int]] = {}
    for ids in sorted(spelled):
        for level in range(model.num_levels):
            after = follows.setdefault(tuple(ids[:level]), [])
            if not after or after[-1] != ids[level]:
                after.append(ids[level])

    def generate(histories: list[np.ndarray], batch_size: int) -> tuple[list[list[int]], torch.Tensor]:
        lists, scores = [], []
        for start in range(0, len(histories), batch_size):
            batch = batch_of(histories[start : start + batch_size])
            tokens = model.tokens(batch.items.to(device))
            lengths = (batch.lengths.to(device) * model.num_levels + 1).unsqueeze(1)
            at = torch.arange(tokens.shape[1], device=device) - (tokens.shape[1] - lengths)  # padded left
            prompt = tokens.gather(1, at.clamp(min=0)).masked_fill(at < 0, model.start)
            length = prompt.shape[1]
            out = llama.generate(
                prompt,
                attention_mask=(at >= 0).long(),
                num_beams=model.config.beam_width,
                num_return_sequences=K,
                do_sample=False,
                max_new_tokens=model.num_levels,
                length_penalty=0.0,
                prefix_allowed_tokens_fn=lambda _, sent: follows.get(tuple(sent[length:].tolist()), [0]),  # noqa: B023
                return_dict_in_generate=True,
                output_scores=True,
            )
            found = [item_of[tuple(row)] for row in out.sequences[:, length:].tolist()]
            lists += [found[row : row + K] for row in range(0, len(found), K)]
            scores.append(out.sequences_scores.view(-1, K).cpu())
        return lists, torch.cat(scores)

    apart = max(1, len(users) // sizes["peer_users"])
    some = users[apart // 2 :: apart]
    ranker = Ranker(model, min(len(some), max(sizes["batch_sizes"])), device)
    items, scores = rank_users(ranker, some)
    theirs, their_scores = generate(some, min(16, len(some)))
    same = float(np.mean([a == b for a, b in zip(items.tolist(), theirs, strict=True)]))
    error = float((scores - their_scores).abs().max())
    notes = [
        f"the same {K} items in the same order for {same:.1%} of {len(some)} users; "
        f"largest difference of scores {error:.1e}"
    ]
    for batch_size in sizes["peer_batch_sizes"]:
        try:
            (times,) = seconds_of([lambda size=batch_size: generate(some, size)], device, 0.0)
        except torch.OutOfMemoryError:
            notes.append(f"generate ran out of memory at batch {batch_size}")
            continue
        rate = len(some) / min(times)
        rows.append({"who": "generate", "batch_size": batch_size, "users_per_second": rate})
    best = {
        who: max(row["users_per_second"] for row in rows if row["who"] == who)
        for who in ("g2rec", "generate")
    }
    rows.append(
        {"who": "ratio", "value": best["g2rec"] / best["generate"], "same_lists": same, "error": error}
    )
    notes.append(f"g2rec ranks {best['g2rec'] / best['generate']:.1f} times the users of generate a second")
    return rows, notes


def free_search(model: Any, context: tuple[torch.Tensor, ...], width: int) -> torch.Tensor:
    """Beam search over all sequences of codes: no trie."""
    cache = model.begin(context)
    B, device = len(context[0]), context[0].device
    codes = torch.zeros(B, 1, 0, dtype=torch.long, device=device)
    scores, parents = torch.zeros(B, 1, device=device), None
    for level in range(model.num_levels):
        log_p, cache = model.step(cache, level, codes, parents)
        total = (scores.unsqueeze(-1) + log_p).flatten(1)
        scores, pick = total.topk(min(width, total.shape[1]), dim=1)
        parents = pick // log_p.shape[2]
        before = codes.gather(1, parents.unsqueeze(-1).expand(-1, -1, level))
        codes = torch.cat([before, (pick % log_p.shape[2]).unsqueeze(-1)], dim=2)
    return codes


def recorded(function: Callable[[], Any], device: str) -> Callable[[], Any]:
    """The function as a CUDA graph; on the CPU the function."""
    if device == "cpu":
        return function
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        function()
        function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = function()

    def replay() -> Any:
        graph.replay()
        return kept

    return replay


class Canned:
    """A decoder that costs nothing: what is left of a search is the search."""

    def __init__(self, model: CodeLM, batch_size: int, width: int) -> None:
        shape = (batch_size, width, model.codebook_size)
        self.num_levels = model.num_levels
        self.log_p = torch.randn(self.num_levels, *shape, device=model.device)

    def begin(self, context: Any) -> None:
        """Nothing."""

    def step(self, cache: None, level: int, codes: torch.Tensor, parents: Any) -> tuple[torch.Tensor, None]:
        """What was drawn."""
        return self.log_p[level, :, : codes.shape[1]], None


def measure_trie(model: CodeLM, batch_size: int, device: str, budget: float) -> dict[str, Any]:
    """What the constraint costs."""
    batch = batch_of(random_users(batch_size, model.num_items, 8)).to(device)
    context, width = (batch.items, batch.lengths), model.config.beam_width
    canned = Canned(model, batch_size, width)
    times = seconds_of(
        [
            recorded(lambda: model.begin(context), device),
            recorded(lambda: beam_search(model, model.trie, context, width), device),
            recorded(lambda: beam_search(canned, model.trie, context, width), device),
            recorded(lambda: free_search(canned, context, width), device),
        ],
        device,
        budget,
    )
    begin, search, held, free = (statistics.median(own) for own in times)
    return {
        "batch_size": batch_size,
        "begin_ms": begin * 1e3,
        "search_ms": search * 1e3,
        "choice_ms": held * 1e3,
        "free_choice_ms": free * 1e3,
        "share_of_steps": (held - free) / (search - begin),
    }


def measure_latency(model: CodeLM, calls: int, device: str) -> list[dict[str, Any]]:
    """Milliseconds for one user."""
    users = random_users(calls, model.num_items, model.config.transformer.max_len)
    np.random.default_rng(1).shuffle(users)
    plain = lambda user: model.rank(batch_of([user]).to(device), K).items.cpu()  # noqa: E731
    ways: dict[str, Callable[[np.ndarray], Any]] = {"calls": plain}
    if device == "cuda":
        longest = model.config.transformer.max_len
        graph = CapturedRanking(model, K, batch_size=1, max_len=longest)
        ways["graph"] = lambda user: graph.rank(batch_of([user]).to(device)).items.cpu()
        same = float(np.mean([torch.equal(plain(user), ways["graph"](user)) for user in users[:50]]))
        print(f"latency  the graph gives the same lists for {same:.0%} of {len(users[:50])} users")
    rows = []
    for name, way in ways.items():
        for user in users[:10]:
            way(user)
        times = []
        for user in users:
            start = time.perf_counter()
            way(user)
            times.append((time.perf_counter() - start) * 1e3)
        rows.append({"way": name, "p50_ms": np.quantile(times, 0.5), "p99_ms": np.quantile(times, 0.99)})
    return rows


def train(model: CodeLM, steps: int, device: str) -> None:
    """Teach the model which codes follow which, and that users stay near where they are."""
    order = np.lexsort(model.codes.cpu().numpy().T[::-1])
    rng = np.random.default_rng(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(steps):
        home = rng.integers(0, model.num_items - 50, (64, 1))
        near = (50 * rng.random((64, 10)) ** 2).astype(np.int64)
        away = rng.integers(0, model.num_items, (64, 10))
        items = torch.from_numpy(order[np.where(rng.random((64, 10)) < 0.9, home + near, away)]).to(device)
        with torch.enable_grad():
            loss = model.loss(items)
            optimizer.zero_grad()
            loss.backward()
        optimizer.step()
    model.eval()


def widths_of(model: Any, widths: list[int], rank: Callable[[], torch.Tensor]) -> dict[int, torch.Tensor]:
    """Lists of ten by beam width."""
    config, found = model.config, {}
    for width in widths:
        model.config = dataclasses.replace(config, beam_width=width)
        found[width] = rank()
    model.config = config
    return found


def measure_exact(model: CodeLM, num_users: int, widths: list[int], device: str) -> list[dict[str, Any]]:
    """Probability of what is found, and how many of the ten best are among it."""
    order = np.lexsort(model.codes.cpu().numpy().T[::-1])
    rng = np.random.default_rng(3)
    home = rng.integers(0, model.num_items - 50, (num_users, 1))
    batch = batch_of(list(order[home + (50 * rng.random((num_users, 8)) ** 2).astype(np.int64)])).to(device)
    p = model.score(batch).softmax(1)
    best = p.topk(K)
    rows = [{"width": "exact", "recall": float(best.values.sum(1).mean()), "found": 1.0}]
    for width, items in widths_of(model, widths, lambda: model.rank(batch, K).items).items():
        shared = (items.unsqueeze(2) == best.indices.unsqueeze(1)).any(2).float().mean()
        recall = p.gather(1, items).sum(1).mean()
        rows.append({"width": width, "recall": float(recall), "found": float(shared)})
    return rows


def measure_fitted(
    folder: Path, interactions: Path, num_users: int, widths: list[int], device: str
) -> list[dict[str, Any]]:
    """Recall at 10 on test users, not masked."""
    model, log = load_recommender(folder).to(device), Interactions.load(interactions)
    if isinstance(model, G2Rec):
        model = model.ranking_by("generative")
    targets = log.targets("test")
    rows = np.random.default_rng(0).permutation(len(targets.target))[:num_users]
    parts = np.array_split(rows, -(-len(rows) // 256))
    batches = [
        history_batch(targets.indptr, targets.history, targets.user_index, part).to(device) for part in parts
    ]
    target = torch.from_numpy(targets.target[rows].astype(np.int64)).unsqueeze(1)
    exact = torch.cat([model.score(batch).topk(K).indices.cpu() for batch in batches])
    found = widths_of(
        model, widths, lambda: torch.cat([model.rank(batch, K).items.cpu() for batch in batches])
    )
    return [
        {
            "width": width,
            "recall": float((items == target).any(1).float().mean()),
            "found": float((items.unsqueeze(2) == exact.unsqueeze(1)).any(2).float().mean()),
        }
        for width, items in {"exact": exact, **found}.items()
    ]


def measure_scale(
    config: CodeLMConfig, codebook_size: int, small: CodeLM, num_items: int, batch_size: int,
    device: str, budget: float,
) -> dict[str, Any]:  # fmt: skip
    """A catalogue so large that its trie is most of the memory."""
    codes = many_unique_ids(num_items)
    start = time.perf_counter()
    trie = PrefixTrie(codes)
    build = time.perf_counter() - start
    start = time.perf_counter()
    trie = trie.to(device)
    wait(device)
    move = time.perf_counter() - start
    batch = batch_of(random_users(batch_size, small.num_items, 8)).to(device)
    context, width = (batch.items, batch.lengths), config.beam_width
    allowed = torch.zeros(1, num_items, dtype=torch.bool, device=device)
    allowed[:, ::10] = True
    times = seconds_of(
        [
            recorded(lambda: small.begin(context), device),
            recorded(lambda: beam_search(small, small.trie, context, width), device),
            recorded(lambda: beam_search(small, trie, context, width), device),
            recorded(lambda: beam_search(small, trie, context, width, ~allowed), device),
        ],
        device,
        budget,
    )
    begin, *searches = (statistics.median(own) for own in times)
    found = beam_search(small, trie, context, width)
    spelled = torch.from_numpy(codes[found.items.cpu().numpy()].astype(np.int64))
    steps = [(search - begin) / trie.num_levels * 1e3 for search in searches]
    return {
        "items": num_items,
        "build_s": build,
        "to_device_s": move,
        "trie_mb": sum(b.numel() * b.element_size() for b in trie.buffers()) / 1e6,
        "branching": trie.branching,
        "batch_size": batch_size,
        "step_ms_small": steps[0],
        "step_ms": steps[1],
        "step_ms_allow_list": steps[2],
        "distinct": len(torch.unique(spelled.view(-1, 4), dim=0)),
    }


@torch.no_grad()
def main(
    parts: list[Part] = ["peer", "trie", "latency", "exact", "scale"],  # noqa: B006 - jsonargparse copies it
    device: Literal["cpu", "cuda"] = "cpu",
    items: int = 12_101,
    levels: int = 4,
    codebook_size: int = 256,
    dim: int = 256,
    layers: int = 2,
    heads: int = 4,
    max_len: int = 50,
    width: int = 50,
    users: int = 0,
    batch_sizes: list[int] = [],  # noqa: B006
    peer_users: int = 0,
    peer_batch_sizes: list[int] = [],  # noqa: B006
    exact_users: int = 0,
    train_steps: int = 0,
    widths: list[int] = [10, 20, 50, 100, 200],  # noqa: B006
    large_items: int = 10_000_000,
    calls: int = 300,
    budget: float = 2.0,
    threads: int = 1,
    model: Path | None = None,
    interactions: Path | None = None,
) -> None:
    """Measure and print.

    Args:
        parts: What is measured.
        device: Where.
        items: Of the catalogue; Beauty's by default.
        levels: Codes of an ID.
        codebook_size: Codes a level.
        dim: Width of the model.
        layers: Its blocks.
        heads: Its attention heads.
        max_len: Items of history that are read.
        width: Beams.
        users: Ranked by us; 0 for 8192 on a GPU and 64 on a CPU. With fitted, test users; 0 for 2048.
        batch_sizes: Of ours; by default 64 to 1024 on a GPU, 8 and 32 on a CPU.
        peer_users: Ranked by generate; 0 for 128 on a GPU and 16 on a CPU.
        peer_batch_sizes: Of generate; by default 4 to 128 on a GPU, 1 to 16 on a CPU.
        exact_users: Whose whole catalogue is scored; 0 for 128 on a GPU and 4 on a CPU.
        train_steps: Of the model whose beam is compared with exact scores; 0 for 600 on a GPU, 100 on a CPU.
        widths: Beams that are compared with exact scores.
        large_items: Of the large catalogue.
        calls: Users ranked one at a time.
        budget: Least seconds that each thing is timed for.
        threads: Of the CPU.
        model: A fitted model's folder, for the part fitted.
        interactions: The log that it was fitted on.
    """
    check_device(device)
    if codebook_size**levels < 2 * items:
        raise ConfigError(
            f"random IDs for {items} items need twice as many, got {codebook_size}^{levels} = "
            f"{codebook_size**levels}; raise levels or codebook_size"
        )
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    gpu = device == "cuda"
    transformer = TransformerConfig(
        embedding_dim=dim,
        num_layers=layers,
        num_heads=heads,
        dropout=0.0,
        max_len=max_len,
        positions="rotary",
    )
    config = CodeLMConfig(transformer=transformer, beam_width=width)
    codes = unique_ids(items, levels, codebook_size, 2.0)
    language = config.build(codes=codes, codebook_size=codebook_size).eval()
    torch.nn.init.normal_(language.token_embedding.weight, std=0.25)  # as peaked as a fitted model, or so
    language = language.to(device)
    about = torch.cuda.get_device_name() if gpu else f"{hardware()}, {threads} thread(s)"
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"{about}; torch {torch.__version__}; {date}")
    print(
        f"{items} items, {levels} codes of {codebook_size}, children {language.trie.branching}; "
        f"d={dim}, {layers} layers, {heads} heads; beam {width}, float32"
    )
    result: dict[str, Any] = {"machine": about, "torch": torch.__version__, "date": date}
    if "peer" in parts:
        sizes = {
            "users": users or (8192 if gpu else 64),
            "batch_sizes": batch_sizes or ([64, 256, 1024] if gpu else [8, 32]),
            "peer_users": peer_users or (128 if gpu else 16),
            "peer_batch_sizes": peer_batch_sizes or ([4, 16, 64, 128] if gpu else [1, 4, 16]),
        }
        result["peer"], notes = measure_peer(language, sizes, device, budget)
        for row in result["peer"]:
            if row["who"] != "ratio":
                rate = row["users_per_second"]
                print(f"peer     {row['who']:9} batch {row['batch_size']:5} {rate:10.1f} users/s")
        for note in notes:
            print(f"peer     {note}")
    if "trie" in parts:
        result["trie"] = [
            measure_trie(language, n, device, budget) for n in ([1, 64, 256] if gpu else [1, 16])
        ]
        for row in result["trie"]:
            print(
                f"trie     batch {row['batch_size']:4}: search {row['search_ms']:.2f} ms, history "
                f"{row['begin_ms']:.2f} ms of it; choosing beams {row['choice_ms']:.2f} ms, without the "
                f"constraint {row['free_choice_ms']:.2f} ms: {row['share_of_steps']:+.1%} of a step"
            )
    if "latency" in parts:
        result["latency"] = measure_latency(language, calls, device)
        for row in result["latency"]:
            print(f"latency  one user, {row['way']}: p50 {row['p50_ms']:.2f} ms, p99 {row['p99_ms']:.2f} ms")
    if "exact" in parts:
        fresh = config.build(codes=codes, codebook_size=codebook_size).to(device)
        train(fresh, train_steps or (600 if gpu else 100), device)
        result["exact"] = measure_exact(fresh, exact_users or (128 if gpu else 4), widths, device)
        _print_widths("exact", result["exact"])
    if "scale" in parts:
        result["scale"] = row = measure_scale(
            config, codebook_size, language, large_items, 64 if gpu else 8, device, budget
        )
        print(
            f"scale    {row['items']} items: trie built in {row['build_s']:.1f} s, {row['trie_mb']:.0f} MB, "
            f"children {row['branching']}; a step of {row['batch_size']} users {row['step_ms']:.2f} ms, with "
            f"an allow list {row['step_ms_allow_list']:.2f} ms, small catalogue {row['step_ms_small']:.2f} ms"
        )
    if "fitted" in parts:
        if model is None or interactions is None:
            raise SystemExit("fitted needs --model and --interactions; give both")
        result["fitted"] = measure_fitted(model, interactions, users or 2048, widths, device)
        _print_widths("fitted", result["fitted"])
    print(json.dumps(result))


def _print_widths(part: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        print(
            f"{part:8} width {row['width']!s:>5}: recall@{K} {row['recall']:.4f}, "
            f"{row['found']:.1%} of the {K} best found"
        )


if __name__ == "__main__":
    with refusal():
        CLI(main, as_positional=False)
