"""The containers of the pipeline, one module a step."""
