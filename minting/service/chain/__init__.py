"""What minting asks of the chain: one session, its pace, heights, prices and the mint's account."""
