"""What is told of the installation's health: figures for Prometheus, a digest by e-mail.

Nothing of minting depends on it. What the tables know is asked when somebody asks; what only
processes know (calls to nodes, requests) they add up in the table of tallies.
"""
