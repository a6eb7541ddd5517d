"""The RPC methods, one module a family; importing them fills the registry."""
