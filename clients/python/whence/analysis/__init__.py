"""Studies of all influences of a query: how heavy their tail is, and in how few sequences they are concentrated.

They take plain numbers and call no service. The recipes are those of Grosse et al. 2023, with noise beside every
figure: influences have noise with heavy tails of its own, which is concentrated, too. Needs ``whence[study]``.
"""

from whence._extras import not_installed

try:
    from whence.analysis.concentration import Concentration, Share, concentration
    from whence.analysis.distribution import Distribution, NoiseTail, Point, distribution
    from whence.analysis.families import Alternative
    from whence.analysis.files import QueryInfluences, read_influences
    from whence.analysis.noise import NoiseFloor
except ImportError as error:
    raise not_installed("studies of influences", "numpy and scipy", "study") from error

__all__ = [
    "Alternative",
    "Concentration",
    "Distribution",
    "NoiseFloor",
    "NoiseTail",
    "Point",
    "QueryInfluences",
    "Share",
    "concentration",
    "distribution",
    "read_influences",
]
