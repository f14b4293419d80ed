"""Training: data sets, losses and the stages that make the embedded model."""
