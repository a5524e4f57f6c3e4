from g2rec._face import compare as compare
from g2rec._face import fit as fit
from g2rec._face import load as load
from g2rec._face import run as run
from g2rec.bundle import Bundle as Bundle

__version__: str
__all__ = ["Bundle", "__version__", "compare", "fit", "load", "run"]
