"""Builds the wheel of this package with the standard library alone (PEP 517 and 660)."""

import base64
import hashlib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME, VERSION = "papermill_rust", "0.1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
METADATA = {
    f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n"
    "Requires-Dist: papermill\nRequires-Dist: nbclient\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: backend\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[papermill.engine]\nrust = papermill_rust.engine:RustEngine\n"
    "[jupyter_client.kernel_provisioners]\nrust-ready = papermill_rust.ready:ReadyProvisioner\n",
}


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    sources = sorted((ROOT / NAME).glob("**/*.py"))
    return write_wheel(wheel_directory, {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in sources})


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, {f"{NAME}.pth": f"{ROOT}\n"})


def write_wheel(folder, files):
    name = f"{NAME}-{VERSION}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(Path(folder) / name, "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, text in {**files, **METADATA}.items():
            content = text.encode("utf-8")
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            wheel.writestr(path, content)
            record.append(f"{path},sha256={digest},{len(content)}\n")
        wheel.writestr(f"{INFO}/RECORD", "".join(record) + f"{INFO}/RECORD,,\n")
    return name
