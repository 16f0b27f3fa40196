"""A thousand files, to see what one costs."""

__config__ = {"files.count": {"default": 1000}}
