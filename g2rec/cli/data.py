"""``g2rec data …``: which graphs there are, where their files come from, and your own log."""
