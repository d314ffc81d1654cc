"""What each view of the page shows, as JSON: one file a view, each with `data(sources, query)`."""
