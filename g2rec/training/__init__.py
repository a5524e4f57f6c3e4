"""LightningModules, loaders and the fitting loop: the only room that imports lightning."""

from g2rec.training.batches import BatchKey, batches
from g2rec.training.fitting import FitConfig, FitReport, fit, optimizer, start_or_resume

__all__ = ["BatchKey", "FitConfig", "FitReport", "batches", "fit", "optimizer", "start_or_resume"]
