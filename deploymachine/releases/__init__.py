"""Servers and a site in, one release after the other on them out: the parts that deploy.py tells the story with."""
