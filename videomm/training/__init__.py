"""Training: of models on labelled clips, and the stages that make the embedded model."""
