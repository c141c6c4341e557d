"""Package metadata. `make run` and `make test` install from here."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name="ironbucket",
    version="0.1.0",
    description="S3 on your own machines: every node holds everything, every change is one line in a log",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["ironbucket", "ironbucket.*"]),
    package_data={"ironbucket": ["py.typed"]},
    install_requires=[
        "bottle>=0.13,<0.14",
        "cheroot>=11,<12",
        "pyyaml>=6,<7",
        "filelock>=4,<5",
        "httptools>=0.7,<1",  # llhttp: a strict parser, see docs/adr
        "awscrt>=0.27,<1",  # CRC-32C and CRC-64/NVME at memory speed
        "zstandard>=0.23,<1",  # closed log segments
        "tqdm>=4.66,<5",  # progress of long commands on a terminal
    ],
    extras_require={
        "local": ["jinja2>=3"],  # the load balancer of `ironbucket local`
        "test": [
            "pytest>=9",
            "pytest-xdist>=3",
            "pytest-timeout>=2",
            "hypothesis>=6",
            "boto3>=1.43",
            "awscli>=1.40",
            "jinja2>=3",
        ],
        "check": ["ruff>=0.15", "mypy>=1.19", "types-PyYAML", "types-tqdm"],
        "ansible": ["ansible-core>=2.19", "ansible-lint>=25", "molecule>=25"],
    },
    entry_points={"console_scripts": ["ironbucket = ironbucket.cli:main"]},
)
