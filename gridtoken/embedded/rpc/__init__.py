"""Solana JSON-RPC over the chain: requests in, answers as a node gives them."""
