"""g2rec: generative recommendation from graph-learned user-interest prototypes.

The rooms, in the order in which data flows: ``recipes``, ``interactions``, ``graph``, ``sampling``,
``encoders``, ``prototypes``, ``tokenizers``, ``recommenders``, ``evaluation``, ``bundle``, ``serving``,
``training``, ``leaderboard`` and ``report``. Import a room (``from g2rec.graph import InteractionGraph``).
"""

__version__ = "0.1.0"
