"""The causal transformer: padding costs nothing and changes nothing."""

import pytest
import torch
import torch.nn.functional as F

from g2rec.recommenders import _transformer
from g2rec.recommenders._transformer import CausalTransformer, Packed, TransformerConfig, attend

_LENGTHS = torch.tensor([7, 1, 0, 12, 2])
_REAL = torch.arange(12) < _LENGTHS.unsqueeze(1)


def _model(positions: str, dropout: float = 0.0) -> CausalTransformer:
    torch.manual_seed(0)
    config = TransformerConfig(embedding_dim=16, dropout=dropout, positions=positions)  # type: ignore[arg-type]
    return CausalTransformer(config, max_positions=12)


@pytest.mark.parametrize("positions", ["rotary", "learned"])
@pytest.mark.parametrize("training", [True, False])
def test_packed_rows_give_what_padded_rows_give(positions: str, training: bool) -> None:
    model = _model(positions).train(training)
    found = []
    for real in (None, _REAL):
        x = torch.randn(5, 12, 16, generator=torch.Generator().manual_seed(1)).requires_grad_()
        model.zero_grad()
        out = model(x, real)
        assert out.shape == x.shape
        out[_REAL].square().sum().backward()
        found.append([out[_REAL].detach(), x.grad, *(p.grad.clone() for p in model.parameters())])
    for padded, packed in zip(*found, strict=True):
        torch.testing.assert_close(packed, padded)
    assert found[1][1][~_REAL].abs().sum() == 0


def test_padding_is_not_computed() -> None:
    model = _model("rotary")
    rows: list[int] = []
    model.blocks[0].down.register_forward_hook(lambda _, inputs, out: rows.append(out.shape[:-1].numel()))
    x = torch.randn(5, 12, 16)
    model(x, _REAL)
    model(x, torch.ones_like(_REAL))
    model(x)
    assert rows == [int(_LENGTHS.sum()), 60, 60]


def test_packing_leaves_out_nothing_but_padding() -> None:
    x = torch.randn(5, 12, 3, 2)
    packed = Packed.of(_REAL)
    assert packed is not None
    torch.testing.assert_close(packed.take(x)[0], x[_REAL])
    torch.testing.assert_close(packed.put(packed.take(x)), x * _REAL.view(5, 12, 1, 1))
    assert not packed.dense
    assert Packed.of(torch.ones(2, 3, dtype=torch.bool)).dense


def test_a_batch_of_padding_alone_has_no_gradient() -> None:
    model = _model("learned")
    x = torch.randn(3, 12, 16).requires_grad_()
    out = model(x, torch.zeros(3, 12, dtype=torch.bool))
    out.sum().backward()
    assert not out.any()
    assert x.grad is not None and not x.grad.any()


def test_packed_rows_keep_the_type_of_mixed_precision() -> None:
    model, x = _model("rotary"), torch.randn(5, 12, 16)
    with torch.autocast("cpu", torch.bfloat16):
        packed, padded = model(x, _REAL), model(x)
    assert packed.dtype == padded.dtype
    torch.testing.assert_close(packed[_REAL], padded[_REAL])


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("queries", [1, 5, _transformer._FEW, _transformer._FEW + 1])
def test_few_positions_attend_as_many_do(causal: bool, queries: int) -> None:
    q = torch.randn(4, 2, queries, 8)
    k, v = torch.randn(2, 4, 2, queries, 8).unbind(0)
    visible = None if causal else torch.rand(4, 1, 1, queries) < 0.7
    if visible is not None:
        visible[..., 0] = True
    found = []
    for few in (True, False):
        inputs = [part.clone().requires_grad_() for part in (q, k, v)]
        if few:
            out = attend(*inputs, 0.0, visible=visible, causal=causal)
        else:
            out = F.scaled_dot_product_attention(*inputs, attn_mask=visible, is_causal=causal)
        out.square().sum().backward()
        found.append([out.detach(), *(part.grad for part in inputs)])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(plain, fused)


def test_few_positions_drop_attention_weights_in_training() -> None:
    torch.manual_seed(0)
    q, k = torch.zeros(2, 64, 1, 4, 8).unbind(0)
    v = torch.eye(4).repeat(64, 1, 1, 2)  # the first half of the output is the weights
    out = attend(q, k, v, 0.5)[..., :4]
    assert set(out.unique().tolist()) == {0.0, 0.5}
