"""Each with owner, group, mode and content, in ten directories."""

from kokki import *

Directory("/srv/bench", mode=0o755)
for number in range(10):
    Directory(f"/srv/bench/{number}", mode=0o755)
for number in range(env.config.files.count):
    File(
        f"/srv/bench/{number % 10}/{number}.conf",
        content=f"# file {number}\nvalue = {number}\n" * 10,
        owner="root",
        group="root",
        mode=0o644,
    )
