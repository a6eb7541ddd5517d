"""The embedded engine, with tables emptied the way tests want it."""
