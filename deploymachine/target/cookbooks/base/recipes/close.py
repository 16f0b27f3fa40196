"""The way in that a provisioned server no longer needs: root's keys."""

from kokki import *

File("/root/.ssh/authorized_keys", action="delete")
