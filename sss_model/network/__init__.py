"""The networks that are trained."""

from sss_model.network.build import build_network
from sss_model.network.network import Network

__all__ = ["Network", "build_network"]
