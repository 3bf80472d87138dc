"""Reads tensors from untrusted torch files; no code in them is executed.

Both file formats contain a pickle. torch's tensors-only loader (`weights_only`) interprets it
itself and allows only the few functions that build tensors and dictionaries.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

# First bytes of a file of torch.save before 1.6: a pickle of torch's magic number.
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."


def read_torch(content: bytes, most_bytes: int) -> dict[str, Tensor]:
    """Reads a dictionary of tensors in either of torch's formats.

    Raises:
        Exception: Of any kind, if the file is damaged, contains something else, or is a zip whose
            members are larger than `most_bytes`.
    """
    if content.startswith(_LEGACY):
        return _read(content)
    if content.startswith(b"PK\x03\x04"):
        return read_torch_zip(content, most_bytes)
    raise ValueError("something that torch did not write" if content else "an empty file")


def read_torch_zip(content: bytes, most_bytes: int) -> dict[str, Tensor]:
    """Reads a dictionary of tensors in torch's zip format (since 1.6).

    Raises:
        Exception: As `read_torch`.
    """
    # torch does not compress its members; a zip bomb does.
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = archive.infolist()
        if "policy.pth" in archive.namelist():
            raise ValueError("an agent of stable-baselines3, which 'rl-abn import sb3' reads")
        if any(file.compress_type != zipfile.ZIP_STORED for file in files):
            raise ValueError("compressed tensors")
        if sum(file.file_size for file in files) > most_bytes:
            raise ValueError(f"tensors of more than {most_bytes:,} bytes")
    return _read(content)


def _read(content: bytes) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            # torch warns of changed source code; only a malicious file makes it compare any.
            warnings.simplefilter("error")
            loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own message advises to load the file in spite of the danger.
        named = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
        raise ValueError(
            f"a pickle that asks for {named[1]}" if named else "a pickle that is no tensors'"
        ) from None
    except (EOFError, IndexError):
        raise ValueError("a file that is cut off") from None
    return _plain_tensors(loaded)


def _plain_tensors(loaded: Any) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping):
        raise ValueError(f"a {type(loaded).__name__} instead of named tensors")
    for name, value in loaded.items():
        if not (
            isinstance(name, str)
            and isinstance(value, Tensor)
            and value.layout == torch.strided
            and value.device.type == "cpu"
            and not value.is_quantized
            # A view can claim a trillion elements on four bytes.
            and value.nbytes <= value.untyped_storage().nbytes()
        ):
            raise ValueError(f"something that is no plain tensor in {str(name)[:80]!r}")
    return dict(loaded)
