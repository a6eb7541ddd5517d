"""Signs, sends, follows, settles and recovers."""
