"""What `wharf.yaml` says of an application: model, reading, schema."""
