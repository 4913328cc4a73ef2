"""What is assessed: model, data, device, deployment, and the runtime that answers for the model."""
