"""User-interest prototypes: a few vectors, and how far each item belongs to each of them."""

from g2rec.prototypes._cluster import kmeans
from g2rec.prototypes._community import community_partition, partition_into
from g2rec.prototypes._content import ContentMemberships, place_by_content
from g2rec.prototypes._control import RandomPrototypesConfig, random_prototypes
from g2rec.prototypes._fixed import FixedMemberships
from g2rec.prototypes._free import ModularityConfig, fit_modularity
from g2rec.prototypes._head import GraphHeadConfig, PrototypeHead
from g2rec.prototypes._interests import InterestPrototypes, Memberships
from g2rec.prototypes._losses import membership_entropy, modularity_loss, usage_balance_loss
from g2rec.prototypes._modularity import modularity_report, soft_modularity
from g2rec.prototypes._naming import top_items
from g2rec.prototypes._neighbours import neighbour_memberships
from g2rec.prototypes._quality import (
    PrototypePurity,
    PrototypeStatistics,
    prototype_purity,
    prototype_statistics,
)
from g2rec.prototypes._sweep import SweepRow, choose_prototypes, sweep_prototypes

__all__ = [
    "ContentMemberships",
    "FixedMemberships",
    "GraphHeadConfig",
    "InterestPrototypes",
    "Memberships",
    "ModularityConfig",
    "PrototypeHead",
    "PrototypePurity",
    "PrototypeStatistics",
    "RandomPrototypesConfig",
    "SweepRow",
    "choose_prototypes",
    "community_partition",
    "fit_modularity",
    "kmeans",
    "membership_entropy",
    "modularity_loss",
    "modularity_report",
    "neighbour_memberships",
    "partition_into",
    "place_by_content",
    "prototype_purity",
    "prototype_statistics",
    "random_prototypes",
    "soft_modularity",
    "sweep_prototypes",
    "top_items",
    "usage_balance_loss",
]
