"""Packaging of deploymachine: `pip install .` gives the library and its console scripts."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
TWO_TO_THREE = "fissix>=24"
AGE = "pyrage>=1.2,<2"

setup(
    name="deploymachine",
    version="0.1.0",
    description="From bare OpenStack machines to a Django service in production, with plain fab commands",
    long_description=(HERE / "README.rst").read_text(encoding="utf-8"),
    long_description_content_type="text/x-rst",
    license="MIT",
    python_requires=">=3.10",
    packages=[*find_packages(include=["deploymachine", "deploymachine.*"])],
    include_package_data=True,
    install_requires=[
        "fabric>=3.2,<4",
        "invoke>=2.2,<3",
        "paramiko>=3.4",
        "cryptography>=41",
        "bcrypt>=4",
        "openstacksdk>=3",
        "python-openstackclient>=6",
        "pydantic>=2.6,<3",
        "jinja2>=3.1,<4",
        "pyyaml>=6",
        "rich>=13",
    ],
    extras_require={
        "import": [TWO_TO_THREE],
        "age": [AGE],
        "devcloud": ["flask>=3,<4", "waitress>=3"],
        "test": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "ruff>=0.6",
            "mypy>=1.11",
            "types-PyYAML",
            "types-paramiko",
            TWO_TO_THREE,
            AGE,
        ],
    },
    entry_points={
        "console_scripts": [
            "deploymachine=deploymachine.cli:main",
            "kokki=deploymachine.kokki_command:main",
            "openstack-compute=deploymachine.openstack_compute:main",
        ]
    },
)
