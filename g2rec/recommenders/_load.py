"""Read whichever recommender a folder holds."""

from pathlib import Path

from g2rec.errors import ArtifactError
from g2rec.recommenders._base import Recommender, saved_model_name
from g2rec.recommenders._code_lm import CodeLM
from g2rec.recommenders._ease import EASE
from g2rec.recommenders._fusion import Fusion
from g2rec.recommenders._g2rec import G2Rec
from g2rec.recommenders._knn import ItemKNN
from g2rec.recommenders._language import LanguageModel
from g2rec.recommenders._lightgcn import LightGCNRecommender
from g2rec.recommenders._popularity import Newness, Popularity, RecentPopularity
from g2rec.recommenders._rpg import RPG
from g2rec.recommenders._sasrec import SASRec
from g2rec.recommenders._text import TextNeighbors, WordNeighbors
from g2rec.recommenders._tiger import TIGER
from g2rec.recommenders._transitions import ItemTransitions

_MODELS: tuple[type[Recommender], ...] = (
    Popularity,
    RecentPopularity,
    Newness,
    ItemTransitions,
    ItemKNN,
    EASE,
    TextNeighbors,
    WordNeighbors,
    LightGCNRecommender,
    SASRec,
    Fusion,
    CodeLM,
    TIGER,
    RPG,
    LanguageModel,
    G2Rec,
)


def load_recommender(path: Path) -> Recommender:
    """Read a folder that any recommender's `save` wrote.

    Raises:
        ArtifactError: If the folder is missing, damaged, or holds a model that this version does not know.
    """
    name = saved_model_name(path)
    for model in _MODELS:
        if model.name == name:
            return model.load(path)
    known = ", ".join(model.name for model in _MODELS)
    raise ArtifactError(f"expected one of {known} at {path}, found {name}; update g2rec")
