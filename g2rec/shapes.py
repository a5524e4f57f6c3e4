"""The one legend of shape letters, used in annotations and as suffixes (``x_BTD``).

==========  =====================================================
letter      what it counts
==========  =====================================================
``B``       rows of a batch
``T``       positions of a sequence
``D``       embedding dimensions
``F``       content features of an item
``U``       users
``I``       items
``N``       nodes of the graph: users, then items (``N = U + I``)
``E``       edges, both directions
``M``       events of the interaction log
``C``       interest prototypes
``R``       nonzero memberships per item (rho)
``L``       levels of a semantic ID
``V``       codes in a codebook (its size)
``W``       beams kept while decoding
``K``       cut-off of a ranking
==========  =====================================================

Importing ``Float``, ``Int``, ``Bool`` and ``Tensor`` from here keeps the annotations of all rooms alike.
"""

from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Bool", "Float", "Int", "Tensor"]
