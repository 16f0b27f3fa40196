"""Servers of a running deployment in, the same work done by others out: split, merged, moved, with their data.

A split, a merge and a move are one thing, a `shapes.Change`: names and types before, names and types after. All that is
in between is an ordinary deployment. What has data moves as a `part`: database, cache, queues, media, a module each.
"""
