"""All settings of a run, in the order of its stages; a YAML file is this dataclass written flat."""

from dataclasses import dataclass, field
from typing import Literal

from g2rec.encoders import GraphSAGEConfig, LightGCNConfig
from g2rec.errors import ConfigError
from g2rec.graph import CoEngagementConfig
from g2rec.interactions import InteractionsConfig
from g2rec.prototypes import GraphHeadConfig, ModularityConfig, RandomPrototypesConfig
from g2rec.recommenders import (
    CodeLMConfig,
    EASEConfig,
    G2RecConfig,
    LanguageModelConfig,
    LightGCNRecommenderConfig,
    RPGConfig,
    SASRecConfig,
    TextNeighborsConfig,
    TIGERConfig,
)
from g2rec.tokenizers import LETTERConfig, RQVAEConfig, SubwordConfig, TokenizerConfig
from g2rec.training.encoder import LinkConfig
from g2rec.training.fitting import FitConfig
from g2rec.training.tokenizer import JointMode, TokenizerInputs

BaselineName = Literal[
    "popularity",
    "recent_popularity",
    "newness",
    "item_transitions",
    "item_knn",
    "ease",
    "text_neighbors",
    "word_neighbors",
    "lightgcn",
    "sasrec_bce",
    "sasrec",
    "sasrec_cosine",
    "sasrec_graph",
    "fusion",
    "tiger",
    "tiger_decoder",
    "letter",
    "rpg",
    "language",
    "code_lm",
]


@dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How rankings are measured."""

    cutoffs: tuple[int, ...] = (5, 10, 20, 50)
    """The Ks of recall, NDCG, MRR and hit rate; 10 is measured in any case."""
    batch_size: int = 512
    """Users ranked at once."""
    bootstrap_samples: int = 1000
    """Resamples behind the 95% intervals."""

    @property
    def measured(self) -> tuple[int, ...]:
        """The Ks in order, 10 among them: what tables show and models are chosen by."""
        return tuple(sorted({*self.cutoffs, 10}))

    def check(self) -> None:
        """Refuse numbers below 1.

        Raises:
            ConfigError: If a cutoff, the batch size or the number of resamples is below 1.
        """
        numbers = {f"cutoffs[{at}]": value for at, value in enumerate(self.cutoffs)}
        numbers |= {"batch_size": self.batch_size, "bootstrap_samples": self.bootstrap_samples}
        for name, value in numbers.items():
            if value < 1:
                raise ConfigError(f"expected evaluation.{name} of at least 1, got {value}; raise it")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Settings of a whole run."""

    seed: int = 0
    """Of everything that is fitted; the split and the internal ids have interactions.seed."""
    interactions: InteractionsConfig = field(default_factory=InteractionsConfig)
    """Split, ties and internal ids."""
    coengagement: CoEngagementConfig | None = None
    """The item-item graph; if null, with the recipe's settings, and of a log none is built."""
    encoder: LightGCNConfig | GraphSAGEConfig = field(default_factory=LightGCNConfig)
    """The graph encoder."""
    links: LinkConfig = field(default_factory=LinkConfig)
    """What a training step of the encoder samples."""
    prototypes: GraphHeadConfig | ModularityConfig | RandomPrototypesConfig = field(
        default_factory=GraphHeadConfig
    )
    """The interest prototypes: a head on the encoder, the paper's free memberships, or a random control."""
    encoder_fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=0, batch_size=2048, learning_rate=5e-3)
    )
    """Training of encoder and prototypes; a row is a training event."""
    tokenizer: TokenizerConfig = field(default_factory=RQVAEConfig)
    """The semantic tokenizer."""
    tokenizer_fit: FitConfig = field(default_factory=FitConfig)
    """Training of the tokenizer."""
    subwords: SubwordConfig = field(default_factory=SubwordConfig)
    """Sub-word tokens over the semantic IDs, for ranking models; see g2rec tokenizer subwords."""
    joint: JointMode = "joint"
    """How far the contrastive gradient goes: to encoder and prototypes, prototypes only, neither; or off."""
    tokenizer_inputs: TokenizerInputs = "both"
    """What is tokenized: content joined with graph embeddings, or one of them alone."""
    recommender: G2RecConfig = field(default_factory=G2RecConfig)
    """The generative recommender."""
    recommender_fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=0, batch_size=64, learning_rate=3e-3, patience=3)
    )
    """Training of the recommender, and of the baseline tiger_decoder."""
    baselines: tuple[BaselineName, ...] = ("popularity", "item_transitions", "item_knn", "lightgcn", "sasrec")
    """What stands beside G2Rec."""
    ease: EASEConfig = field(default_factory=EASEConfig)
    """The EASE baseline."""
    text_neighbors: TextNeighborsConfig = field(default_factory=TextNeighborsConfig)
    """The baseline of content alone."""
    lightgcn: LightGCNRecommenderConfig = field(default_factory=LightGCNRecommenderConfig)
    """The LightGCN baseline."""
    lightgcn_fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=0, batch_size=4096, learning_rate=1e-2, patience=3)
    )
    """Its training."""
    sasrec: SASRecConfig = field(default_factory=SASRecConfig)
    """The SASRec baselines: sasrec_bce, sasrec, sasrec_cosine, sasrec_graph set loss, logits and inputs."""
    sasrec_fit: FitConfig = field(
        default_factory=lambda: FitConfig(epochs=0, batch_size=64, learning_rate=3e-3, patience=3)
    )
    """Their training."""
    tiger: TIGERConfig = field(default_factory=TIGERConfig)
    """TIGER, on IDs of the content alone."""
    tiger_fit: FitConfig = field(
        default_factory=lambda: FitConfig(
            epochs=60, warmup_steps=1000, decay="inverse_sqrt", patience=5, validate_every=2
        )
    )
    """Its training; a row is a training event."""
    letter: LETTERConfig = field(default_factory=LETTERConfig)
    """LETTER's tokenizer, otherwise as the tokenizer above; TIGER's settings spell its IDs."""
    rpg: RPGConfig = field(default_factory=RPGConfig)
    """The RPG baseline, on product codes of the content that it makes itself."""
    rpg_fit: FitConfig = field(default_factory=FitConfig)
    """Its training."""
    language: LanguageModelConfig = field(default_factory=LanguageModelConfig)
    """A Hugging Face language model from a local folder, on IDs of the content alone."""
    language_fit: FitConfig = field(default_factory=FitConfig)
    """Its training."""
    code_lm: CodeLMConfig = field(default_factory=CodeLMConfig)
    """The language model of codes, on IDs of the content alone."""
    code_lm_fit: FitConfig = field(default_factory=FitConfig)
    """Its training."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    """How rankings are measured."""
