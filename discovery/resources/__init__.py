"""What is to be rendered, and how: resource files, templates, what these may ask."""
