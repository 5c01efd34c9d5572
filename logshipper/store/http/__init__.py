"""The ways in and out: `_bulk`, the API, the page, and who may."""
