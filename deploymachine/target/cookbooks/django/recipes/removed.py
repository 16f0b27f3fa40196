"""Nothing is left of sites that are neither served nor worked for here: their files, uploads too, and their users."""

from kokki import *

env.include_recipe("django.absent")
env.cookbook("django").without_other_homes()
