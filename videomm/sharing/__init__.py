"""Models for others: ONNX files, and folders on the Hugging Face hub."""
