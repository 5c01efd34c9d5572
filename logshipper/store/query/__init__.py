"""From a question to the lines that answer it: the language, the plan, the search."""
