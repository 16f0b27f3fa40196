"""nova-compute as it is, with our directory among those where it looks for virt drivers."""

from __future__ import annotations

import sys
from pathlib import Path

import nova.virt
from nova.cmd import compute

if __name__ == "__main__":
    nova.virt.__path__.append(str(Path(__file__).parent))
    sys.exit(compute.main())
