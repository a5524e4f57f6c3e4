# mypy: ignore-errors
"""The fused kernels of the sampler. Sizes that depend on what was drawn stay in device memory (``meta``):
``meta[h]`` nodes known after hop h, ``meta[H + 1 + h]`` edges known before hop h; so grids cover the largest
case, and programs beyond the end return at once.

Numbers are given without hash or sort: a bit for each node of the graph (6.4 MB for 51 million nodes: it
stays in the cache), marked by the hop, and with each word of 32 bits the number of its first node. A node's
number is then that plus the bits below its own.
"""

import triton
import triton.language as tl


@triton.jit
def _mix(x):
    """The SplitMix64 finaliser, on uint64."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
    return x ^ (x >> 31)


@triton.jit
def _ones(x):
    """The bits set in each uint32."""
    x = x - ((x >> 1) & 0x55555555)
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333)
    x = (x + (x >> 4)) & 0x0F0F0F0F
    return ((x * 0x01010101) >> 24).to(tl.int32)


@triton.jit
def _add(a, b):
    return a + b


@triton.jit
def _before(sums, pid, BLOCK: tl.constexpr):
    """The sum of the first ``pid`` block sums."""
    total = tl.zeros([BLOCK], tl.int32)
    for start in range(0, pid, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(sums + at, mask=at < pid, other=0)
    return tl.sum(total, 0)


@triton.jit
def enter_seeds(seeds, bitmap, firsts, meta, size, num_nodes, wrong, BLOCK: tl.constexpr):
    """Set the bits of the seeds; those that are no nodes are counted and become node 0."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    node = tl.load(seeds + at, mask=inside, other=0)
    outside = (node < 0) | (node >= num_nodes)
    node = tl.where(outside, 0, node)
    tl.store(seeds + at, node, mask=outside)
    tl.store(firsts + at, tl.zeros([BLOCK], tl.int32) + size, mask=inside)
    one = tl.full([BLOCK], 1, tl.int32) << (node & 31).to(tl.int32)
    tl.atomic_or(bitmap + (node >> 5), one, mask=inside, sem="relaxed")
    count = tl.sum(outside.to(tl.int32), 0)
    if count > 0:
        tl.atomic_add(meta + wrong, count.to(tl.int64), sem="relaxed")


@triton.jit
def rank_seeds(table, seeds, ranks, firsts, size, BLOCK: tl.constexpr):
    """The rank of each seed among the distinct ones, rising, and where each distinct one comes first."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = at < size
    node = tl.load(seeds + at, mask=inside, other=0)
    entry = tl.load(table + (node >> 5), mask=inside, other=0)
    one = tl.full([BLOCK], 1, tl.uint32) << (node & 31).to(tl.uint32)
    rank = (entry >> 32).to(tl.int32) + _ones((entry & 0xFFFFFFFF).to(tl.uint32) & (one - 1))
    tl.store(ranks + at, rank, mask=inside)
    tl.atomic_min(firsts + rank, at, mask=inside, sem="relaxed")


@triton.jit
def count_seeds(ranks, firsts, sums, size, BLOCK: tl.constexpr):
    """How many distinct seeds come first in each block."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    rank = tl.load(ranks + at, mask=at < size, other=0)
    first = (at < size) & (tl.load(firsts + rank, mask=at < size, other=-1) == at)
    tl.store(sums + tl.program_id(0), tl.sum(first.to(tl.int32), 0))


@triton.jit
def number_seeds(seeds, ranks, firsts, sums, numbers, nodes, size, BLOCK: tl.constexpr):
    """Number the distinct seeds in their order; ``numbers`` goes from rank to number."""
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    rank = tl.load(ranks + at, mask=at < size, other=0)
    first = (at < size) & (tl.load(firsts + rank, mask=at < size, other=-1) == at)
    count = first.to(tl.int32)
    number = _before(sums, tl.program_id(0), 1024) + tl.cumsum(count, 0) - count
    tl.store(numbers + rank, number, mask=first)
    tl.store(nodes + number, tl.load(seeds + at, mask=first, other=0).to(tl.int32), mask=first)


@triton.jit
def count_new(bitmap, known, sums, num_words, FIRST: tl.constexpr, BLOCK: tl.constexpr):
    """How many nodes of each block of words are marked and were not known; other marks are cleared."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < num_words
    new = tl.load(bitmap + at, mask=inside, other=0)
    count = tl.sum(_ones(new.to(tl.uint32, bitcast=True)), 0)
    if not FIRST:  # noqa: SIM102 (one is known when it is compiled)
        if count > 0:
            old = new & tl.load(known + at, mask=inside, other=0)
            tl.store(bitmap + at, new ^ old, mask=inside & (old != 0))
            count -= tl.sum(_ones(old.to(tl.uint32, bitcast=True)), 0)
    tl.store(sums + tl.program_id(0), count)


@triton.jit
def number_new(
    bitmap, known, sums, table, used, known_used, nodes, meta, hop, num_words,
    FIRST: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Number the new nodes of a hop in rising order, write them down, and clear the marks.

    Blocks without any are left alone, but for what the last batch left in them (``used``, ``known_used``).
    For the seeds, the numbers are ranks and `number_seeds` writes them down.
    """
    pid = tl.program_id(0)
    at = pid.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < num_words
    total = tl.load(sums + pid)
    if (total > 0) | (pid == tl.num_programs(0) - 1):
        start = _before(sums, pid, 1024)
        if not FIRST:
            start += tl.load(meta + hop - 1).to(tl.int32)
        marked = tl.load(bitmap + at, mask=inside, other=0)
        new = marked.to(tl.uint32, bitcast=True)
        if FIRST:
            tl.store(known + at, marked, mask=inside)
        else:
            old = tl.load(known + at, mask=inside, other=0)
            tl.store(known + at, marked | old, mask=inside & (marked != 0))
        tl.store(bitmap + at, tl.zeros([BLOCK], tl.int32), mask=inside & (marked != 0))
        count = _ones(new)
        first = start + tl.cumsum(count, 0) - count
        tl.store(table + at, (first.to(tl.int64) << 32) | new.to(tl.int64), mask=inside)
        tl.store(used + pid, 1)
        tl.store(known_used + pid, 1)
        if not FIRST:
            left = new
            for step in range(tl.max(count, 0)):
                low = left & (0 - left).to(tl.uint32)
                node = at * 32 + _ones(low - 1)
                tl.store(nodes + first + step, node.to(tl.int32), mask=left != 0)
                left = left ^ low
        if pid == tl.num_programs(0) - 1:
            tl.store(meta + hop, (start + total).to(tl.int64))
    else:
        was_used, was_known = tl.load(used + pid), tl.load(known_used + pid)
        tl.debug_barrier()  # all threads have read them before one writes
        if was_used != 0:
            tl.store(table + at, tl.zeros([BLOCK], tl.int64), mask=inside)
            tl.store(used + pid, 0)
        if FIRST:  # noqa: SIM102
            if was_known != 0:
                tl.store(known + at, tl.zeros([BLOCK], tl.int32), mask=inside)
                tl.store(known_used + pid, 0)


@triton.jit
def count_rows(
    nodes, indptr, begins, degrees, sums, meta, hop,
    K: tl.constexpr, REPLACE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Begin and degree of the rows to expand, and how many edges each block of them gives."""
    pid = tl.program_id(0)
    first = tl.full([], 0, tl.int64)
    if hop > 0:
        first = tl.load(meta + hop - 1)
    last = tl.load(meta + hop)
    row = first + pid.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = row < last
    node = tl.load(nodes + row, mask=inside, other=0).to(tl.int64)
    begin = tl.load(indptr + node, mask=inside, other=0)
    degree = (tl.load(indptr + node + 1, mask=inside, other=0) - begin).to(tl.int32)
    tl.store(begins + row, begin, mask=inside)
    tl.store(degrees + row, degree, mask=inside)
    count = tl.where(degree > 0, K, 0) if REPLACE else tl.minimum(degree, K)
    tl.store(sums + pid, tl.sum(count, 0))


@triton.jit
def place_rows(
    degrees, sums, offsets, meta, hop, num_hops,
    K: tl.constexpr, REPLACE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Where the edges of each row begin; ``offsets`` has one entry more than rows."""
    pid = tl.program_id(0)
    first = tl.full([], 0, tl.int64)
    if hop > 0:
        first = tl.load(meta + hop - 1)
    last = tl.load(meta + hop)
    start = first + pid.to(tl.int64) * BLOCK
    if start < last or pid == 0:
        row = start + tl.arange(0, BLOCK)
        inside = row < last
        degree = tl.load(degrees + row, mask=inside, other=0)
        count = tl.where(degree > 0, K, 0) if REPLACE else tl.minimum(degree, K)
        base = tl.load(meta + num_hops + 1 + hop).to(tl.int32) + _before(sums, pid, 1024)
        end = base + tl.cumsum(count, 0)
        tl.store(offsets + row, end - count, mask=inside)
        if start + BLOCK >= last:
            total = base + tl.sum(count, 0)
            tl.store(offsets + last, total)
            tl.store(meta + num_hops + 2 + hop, total.to(tl.int64))


@triton.jit
def _places(key, degree, K: tl.constexpr, REPLACE: tl.constexpr):
    """K places in each row: draws, or a subset by Floyd's algorithm, or all where there are no more."""
    whole = degree <= K
    chosen = ()
    for j in tl.static_range(K):
        bits = _mix(key + (((j + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF))
        if REPLACE:
            place = tl.umulhi(bits, degree.to(tl.uint64)).to(tl.int32)
        else:
            top = degree - K + j
            place = tl.umulhi(bits, tl.maximum(top + 1, 0).to(tl.uint64)).to(tl.int32)
            taken = place < 0
            for i in tl.static_range(j):
                taken = taken | (chosen[i] == place)
            place = tl.where(whole, j, tl.where(taken, top, place))
        chosen = chosen + (place,)  # noqa: RUF005
    return chosen


@triton.jit
def choose_places(keys, degrees, out, size, K: tl.constexpr, REPLACE: tl.constexpr, BLOCK: tl.constexpr):
    """The places alone, [size, K], for rows whose keys and degrees are given."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = row < size
    key = tl.load(keys + row, mask=inside, other=0).to(tl.uint64, bitcast=True)
    degree = tl.load(degrees + row, mask=inside, other=0).to(tl.int32)
    chosen = _places(key, degree, K, REPLACE)
    for j in tl.static_range(K):
        tl.store(out + row * K + j, chosen[j].to(tl.int64), mask=inside)


@triton.jit
def draw_rows(
    nodes, begins, degrees, offsets, indices, keys, bitmap, neighbours, meta, hop,
    K: tl.constexpr, REPLACE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Draw and mark the neighbours of each row, one thread a row; all of a row's loads are in flight.

    A bit is looked at before it is set, or hubs would queue (1.3e9 edges a second without, 5.0e9 with, where
    nine tenths of the edges meet one item; 10.0e9 and 9.7e9 where items are alike).
    """
    first = tl.full([], 0, tl.int64)
    if hop > 0:
        first = tl.load(meta + hop - 1)
    last = tl.load(meta + hop)
    start = first + tl.program_id(0).to(tl.int64) * BLOCK
    if start < last:
        row = start + tl.arange(0, BLOCK)
        inside = row < last
        node = tl.load(nodes + row, mask=inside, other=0).to(tl.uint64)
        begin = tl.load(begins + row, mask=inside, other=0)
        degree = tl.load(degrees + row, mask=inside, other=0)
        offset = tl.load(offsets + row, mask=inside, other=0)
        key = _mix(_mix(node * 0x9E3779B97F4A7C15) ^ tl.load(keys + hop).to(tl.uint64, bitcast=True))
        chosen = _places(key, degree, K, REPLACE)
        found = ()
        for j in tl.static_range(K):
            present = inside & ((degree > 0) if REPLACE else (degree > j))
            found = found + (tl.load(indices + (begin + chosen[j]), mask=present, other=0),)  # noqa: RUF005
        for j in tl.static_range(K):
            present = inside & ((degree > 0) if REPLACE else (degree > j))
            tl.store(neighbours + offset + j, found[j], mask=present)
        for j in tl.static_range(K):
            present = inside & ((degree > 0) if REPLACE else (degree > j))
            one = tl.full([BLOCK], 1, tl.int32) << (found[j] & 31)
            word = bitmap + (found[j] >> 5)
            present = present & ((tl.load(word, mask=present, other=0) & one) == 0)
            tl.atomic_or(word, one, mask=present, sem="relaxed")


@triton.jit
def number_edges(
    neighbours, offsets, tables, numbers, edge_index, meta, stride, num_words, hop,
    LEVELS: tl.constexpr, KP: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Look up the numbers of the neighbours drawn in a hop and write both ends of each edge."""
    first = tl.full([], 0, tl.int64)
    if hop > 0:
        first = tl.load(meta + hop - 1)
    last = tl.load(meta + hop)
    row = first + tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    begin = tl.load(offsets + row, mask=row < last, other=0)
    end = tl.load(offsets + row + 1, mask=row < last, other=0)
    edge = begin[:, None] + tl.arange(0, KP)[None, :]
    present = edge < end[:, None]
    node = tl.load(neighbours + edge, mask=present, other=0)
    word = (node >> 5).to(tl.int64)
    one = tl.full([BLOCK, KP], 1, tl.uint32) << (node & 31).to(tl.uint32)
    local = tl.zeros([BLOCK, KP], tl.int32)
    need = present
    for back in tl.static_range(LEVELS):
        level = LEVELS - 1 - back
        entry = tl.load(tables + level * num_words + word, mask=need & (level <= hop + 1), other=0)
        bits = (entry & 0xFFFFFFFF).to(tl.uint32)
        hit = (bits & one) != 0
        number = (entry >> 32).to(tl.int32) + _ones(bits & (one - 1))
        if level == 0:
            number = tl.load(numbers + number, mask=hit, other=0)
        local = tl.where(hit, number, local)
        need = need & (hit == 0)
    target = row[:, None] + tl.zeros([BLOCK, KP], tl.int64)
    tl.store(edge_index + edge, local.to(tl.int64), mask=present)
    tl.store(edge_index + stride + edge, target, mask=present)


@triton.jit
def deliver_nodes(
    nodes, indptr, ranks, numbers, out, degrees, seed_index, meta, num_hops, num_seeds,
    DEGREES: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The nodes as int64, their degrees, and the number of every seed."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < tl.load(meta + num_hops)
    node = tl.load(nodes + at, mask=inside, other=0).to(tl.int64)
    tl.store(out + at, node, mask=inside)
    if DEGREES:
        begin = tl.load(indptr + node, mask=inside, other=0)
        end = tl.load(indptr + node + 1, mask=inside, other=0)
        tl.store(degrees + at, end - begin, mask=inside)
    if tl.program_id(0) * BLOCK < num_seeds:
        rank = tl.load(ranks + at, mask=at < num_seeds, other=0)
        number = tl.load(numbers + rank, mask=at < num_seeds, other=0)
        tl.store(seed_index + at, number.to(tl.int64), mask=at < num_seeds)
