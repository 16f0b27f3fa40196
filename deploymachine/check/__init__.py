"""Whether all is there that deploymachine needs: a line for each thing looked at, and what mends it."""
