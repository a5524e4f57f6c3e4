"""Presets, one YAML each; the wheel carries this folder as ``g2rec.shipped_presets``."""
