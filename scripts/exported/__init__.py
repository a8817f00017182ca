"""Training from exported files, and the files of the page that trains in the browser."""
