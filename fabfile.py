"""What `fab --list` shows: deploymachine's tasks for the deployment in this directory, and your own of fab_local.py."""

from deploymachine.tasks import namespace

ns = namespace(__file__)
