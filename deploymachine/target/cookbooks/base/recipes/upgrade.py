"""Every package in its newest version: what `fab everything apt.upgrade` does."""

from kokki import *

env.cookbooks.base.Upgrade("packages")
