"""g2rec: generative recommendation from graph-learned user-interest prototypes.

What most need is here::

    import g2rec

    bundle = g2rec.fit(events, items, user="customer", item="sku", time="when", title="name")
    bundle.recommend(["sku-17", "sku-4"], k=5)     # an Arrow table: item_id, title, score
    bundle.explain(["sku-17", "sku-4"])            # the interests, and what they were read from
    bundle.save("my-bundle")
    g2rec.load("my-bundle").similar("sku-17")
    g2rec.run("ml-100k", "quickstart").evaluate()  # a run on a known graph, stage by stage

- `fit`: a table of events (pandas, polars, Arrow, a file) to a `Bundle`.
- `load`: a `Bundle` from its folder.
- `run`: a run on a graph recipe, whose stages are made when they are asked for.
- `compare`: many models on many recipes, protocols and seeds, in one table.
- `Bundle`: recommend, recommend_many, explain, similar, search, tokenize, add_items, interests, save.

The rooms below, in the order in which data flows: ``recipes``, ``interactions``, ``graph``, ``sampling``,
``encoders``, ``prototypes``, ``tokenizers``, ``recommenders``, ``evaluation``, ``bundle``, ``serving``,
``training``, ``leaderboard`` and ``report``. Import a room (``from g2rec.graph import InteractionGraph``).
"""

__version__ = "0.1.0"

_FACE = ("Bundle", "compare", "fit", "load", "run")
__all__ = ["Bundle", "__version__", "compare", "fit", "load", "run"]


def __getattr__(name: str) -> object:
    """Import what is asked for, and torch with it, not before: ``g2rec --help`` needs none of it."""
    if name in _FACE:
        from importlib import import_module

        return getattr(import_module("g2rec._face"), name)
    raise AttributeError(f"module 'g2rec' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE})
