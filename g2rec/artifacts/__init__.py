"""Folders that hold one hand-over each: written whole or not at all, checked when opened."""

from g2rec.artifacts._fingerprint import derive_seed, fingerprint, to_plain
from g2rec.artifacts._folder import FORMAT_VERSION, Folder, adopt_folder, open_folder, save_folder
from g2rec.artifacts._io import (
    check_replaceable,
    disk_error,
    hash_file,
    read_json,
    replace_path,
    write_json,
    write_text,
)
from g2rec.artifacts._stage import StageRecord, read_record

__all__ = [
    "FORMAT_VERSION",
    "Folder",
    "StageRecord",
    "adopt_folder",
    "check_replaceable",
    "derive_seed",
    "disk_error",
    "fingerprint",
    "hash_file",
    "open_folder",
    "read_json",
    "read_record",
    "replace_path",
    "save_folder",
    "to_plain",
    "write_json",
    "write_text",
]
