"""A measurement for people: as text, as Markdown and as a picture."""
