"""A swap file: a server short of memory gets slow and does not die. A container has its host's swap, or none."""

from kokki import *

SWAP = "/swapfile"
size = env.cookbooks.base.swap_mb(env)

if size:
    Execute(
        "swap file",
        command=f"fallocate -l {size}M {SWAP}.new && chmod 600 {SWAP}.new && mkswap {SWAP}.new && mv {SWAP}.new {SWAP}",
        creates=SWAP,
    )
    SystemdUnit("swapfile.swap", content=f"[Swap]\nWhat={SWAP}\n\n[Install]\nWantedBy=swap.target\n")
    Service("swapfile.swap", action="start", enabled=True)
elif env.cookbooks.base.has_swap_file(SWAP):
    Service("swapfile.swap", action="stop", enabled=False)
    File(SWAP, action="delete", backup=False)
