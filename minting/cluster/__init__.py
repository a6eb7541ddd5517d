"""The only room that talks to Solana: nodes, evidence and signers. Knows no Django."""

from minting.cluster.client import Node
from minting.cluster.evidence import collect_death_evidence
from minting.cluster.history import Walk, walk_history
from minting.cluster.nodes import Cluster
from minting.cluster.signers import open_signer
from minting.cluster.throttle import Throttle

__all__ = [
    "Cluster",
    "Node",
    "Throttle",
    "Walk",
    "collect_death_evidence",
    "open_signer",
    "walk_history",
]
